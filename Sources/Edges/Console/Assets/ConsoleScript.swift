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
                if(fresh&&fresh.innerHTML!==part.dataset.last&&!now.querySelector('form[data-busy],input:checked')){part.dataset.last=fresh.innerHTML;const log=now.querySelector('pre.log');const end=log&&log.scrollTop+log.clientHeight>=log.scrollHeight-8;
                  const keep=log&&log.scrollTop;now.innerHTML=fresh.innerHTML;
                  if(fresh.dataset.live!==undefined)now.dataset.live=fresh.dataset.live;else delete now.dataset.live;
                  const next=now.querySelector('pre.log');if(next)next.scrollTop=end?next.scrollHeight:keep;
                  if(fresh.dataset.live===undefined)location.reload();
                  sortable();resort();charts();}}
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
        // A runs table by mouse and keys: ranges with shift, j and k to move, x to choose, Enter to open, / to filter.
        function choose(){const form=document.getElementById('chosen');if(!form)return;
          const boxes=()=>[...form.querySelectorAll('input[name=run]')];let last=null,at=-1;
          const show=()=>{const count=boxes().filter(box=>box.checked).length;
            form.querySelectorAll('button[data-needs]').forEach(button=>{button.disabled=count<button.dataset.needs});
            document.getElementById('count').textContent=count?count+' chosen':''};
          form.addEventListener('click',event=>{const box=event.target;
            if(box.id==='all'){boxes().forEach(other=>{other.checked=box.checked});show();return}
            if(box.name!=='run')return;const all=boxes(),here=all.indexOf(box);
            if(event.shiftKey&&last!==null)for(let i=Math.min(here,last);i<=Math.max(here,last);i++)all[i].checked=box.checked;
            last=here;show()});
          form.addEventListener('submit',event=>{if(event.submitter&&event.submitter.value==='delete'&&!confirm('Delete the chosen runs? They can be restored.'))event.preventDefault()});
          document.addEventListener('keydown',event=>{if(event.ctrlKey||event.metaKey||event.altKey||/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)&&event.target.type!=='checkbox')return;
            const rows=boxes().map(box=>box.closest('tr'));
            if(event.key==='j'||event.key==='k'){rows.forEach(row=>row.classList.remove('here'));
              at=Math.max(0,Math.min(rows.length-1,at+(event.key==='j'?1:-1)));
              if(rows[at]){rows[at].classList.add('here');rows[at].scrollIntoView({block:'nearest'})}}
            else if(event.key==='x'&&rows[at]){const box=boxes()[at];box.checked=!box.checked;last=at;show()}
            else if(event.key==='Enter'&&rows[at]&&event.target===document.body)rows[at].querySelector('a').click()});
          show()}
        document.querySelectorAll('form.choices select,#search select').forEach(menu=>menu.addEventListener('change',()=>menu.form.requestSubmit()));
        document.addEventListener('submit',event=>{const form=event.target;
          if(event.defaultPrevented)return;if(form.method==='get')return;
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
        """ + ChartScript.javaScript + "\ncharts();brush();\n"
}
