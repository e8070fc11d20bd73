/// The console's one script: sortable tables, live parts, chosen runs. Pages work without it, but for the live parts.
enum ConsoleScript {
    static let javaScript = """
        'use strict';
        // A part with data-live="SECONDS" is replaced by the same part of a fresh copy of its page.
        function live(){document.querySelectorAll('[data-live]').forEach(part=>{
          const every=parseFloat(part.dataset.live)*1000;if(!every||part.dataset.on)return;part.dataset.on='1';
          const tick=async()=>{const now=document.getElementById(part.id);if(!now||!now.dataset.live)return;
            if(!document.hidden){try{
              const answer=await fetch(location.href,{headers:{'X-Aerie-Part':part.id}});
              if(answer.ok){const page=new DOMParser().parseFromString(await answer.text(),'text/html');
                const fresh=page.getElementById(part.id);
                if(fresh&&fresh.innerHTML!==part.dataset.last&&!now.querySelector('form[data-busy]')){part.dataset.last=fresh.innerHTML;const log=now.querySelector('pre.log');const end=log&&log.scrollTop+log.clientHeight>=log.scrollHeight-8;
                  const keep=log&&log.scrollTop;now.innerHTML=fresh.innerHTML;
                  if(fresh.dataset.live!==undefined)now.dataset.live=fresh.dataset.live;else delete now.dataset.live;
                  const next=now.querySelector('pre.log');if(next)next.scrollTop=end?next.scrollHeight:keep;
                  if(fresh.dataset.live===undefined)location.reload();
                  sortable();resort();}}
            }catch(error){}}
            setTimeout(tick,every)};
          setTimeout(tick,every)})}
        // A part that was replaced is sorted again as its reader had it.
        const order={};
        function resort(){document.querySelectorAll('table[data-sortable]').forEach((table,index)=>{const kept=order[index];
          const head=kept&&table.tHead.rows[0].cells[kept[0]];if(!head||!head.sorted)return;
          head.sorted();if(head.dataset.dir!==kept[1])head.sorted()})}
        // A click on a heading sorts by that column: numbers as numbers, and what is missing last.
        function sortable(){document.querySelectorAll('table[data-sortable] th').forEach((head,index)=>{
          if(head.classList.contains('sort')||head.dataset.fixed!==undefined)return;head.classList.add('sort');head.tabIndex=0;
          const sort=()=>{const table=head.closest('table'),body=table.tBodies[0];
            const column=[...head.parentNode.children].indexOf(head);const up=head.dataset.dir!=='up';
            table.querySelectorAll('th').forEach(other=>delete other.dataset.dir);head.dataset.dir=up?'up':'down';
            const key=row=>{const cell=row.cells[column];const text=(cell.dataset.value??cell.textContent).trim();
              const number=parseFloat(text.replace(/[,%]/g,''));return text===''||text==='–'?null:isNaN(number)?text.toLowerCase():number};
            [...body.rows].map(row=>[key(row),row]).sort(([a],[b])=>a===null?1:b===null?-1:
              (typeof a===typeof b?(a<b?-1:a>b?1:0):(typeof a==='number'?-1:1))*(up?1:-1)).forEach(([,row])=>body.append(row))};
          head.sorted=sort;head.onclick=()=>{sort();const tables=[...document.querySelectorAll('table[data-sortable]')];
            order[tables.indexOf(head.closest('table'))]=[[...head.parentNode.children].indexOf(head),head.dataset.dir]};head.onkeydown=event=>{if(event.key==='Enter')sort()}})}
        // Chosen rows of a runs table go to the comparison page.
        function choose(){const button=document.getElementById('compare');if(!button)return;
          const chosen=()=>[...document.querySelectorAll('input[name=run]:checked')].map(box=>box.value);
          const show=()=>{button.disabled=chosen().length<2;button.textContent='Compare'+(chosen().length?' ('+chosen().length+')':'')};
          document.addEventListener('change',show);show();
          button.onclick=()=>{location.href='/console/compare?runs='+chosen().join(',')}}
        document.addEventListener('submit',event=>{const form=event.target;
          if(form.dataset.confirm&&!confirm(form.dataset.confirm)){event.preventDefault();return}
          if(form.dataset.busy){event.preventDefault();return}form.dataset.busy='1'});
        // Addresses that MLflow's client prints lead to the same things here.
        const run=/^#\\/experiments\\/([^/]+)(?:\\/runs\\/([^/?]+))?/.exec(location.hash);
        if(run)location.replace(run[2]?'/console/runs/'+run[2]:'/console/experiments/'+run[1]);
        const model=/^#\\/models\\/([^/?]+)/.exec(location.hash);if(model)location.replace('/console/models/'+model[1]);
        const find=document.getElementById('find');
        if(find)find.addEventListener('input',()=>{const word=find.value.toLowerCase();
          document.querySelectorAll('table[data-sortable] tbody tr').forEach(row=>{row.hidden=!row.textContent.toLowerCase().includes(word)})});
        document.querySelectorAll('pre.log').forEach(log=>{log.scrollTop=log.scrollHeight});
        live();sortable();choose();
        """
}
