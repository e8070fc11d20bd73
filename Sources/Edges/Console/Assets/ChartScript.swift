/// The part of the console's script that answers to the pointer and the keys: cross-hairs, hidden lines, brushes, help.
enum ChartScript {
    static let javaScript = """

        // A cross-hair with the values of every line at that place; by pointer, or by arrow keys on a focused chart.
        function charts(){document.querySelectorAll('svg.chart').forEach(svg=>{if(svg.dataset.on)return;svg.dataset.on='1';
          const lines=()=>[...svg.querySelectorAll('[data-v]')].filter(line=>!line.classList.contains('off')).map(line=>{
            if(!line.at)line.at=(line.getAttribute('points')||line.getAttribute('cx')+','+line.getAttribute('cy')).split(' ').map(pair=>+pair.split(',')[0]);
            if(!line.said)line.said=line.dataset.v.split(' ').map(pair=>pair.split(':'));return line});
          let cross=null,tip=null;
          const hide=()=>{if(cross){cross.remove();tip.remove();cross=tip=null}};
          const show=x=>{let near=null;const found=new Map();
            for(const line of lines()){let best=0;line.at.forEach((at,i)=>{if(Math.abs(at-x)<Math.abs(line.at[best]-x))best=i});
              const away=Math.abs(line.at[best]-x),known=found.get(line.dataset.line);
              if(!known||away<known.away)found.set(line.dataset.line,{line,best,away});if(!near||away<near.away)near={line,best,away}}
            if(!near){hide();return}
            if(!cross){cross=document.createElementNS('http://www.w3.org/2000/svg','line');cross.setAttribute('class','cross');
              tip=document.createElement('div');tip.className='tip';tip.setAttribute('role','status');svg.append(cross);svg.parentNode.append(tip)}
            const view=svg.viewBox.baseVal,at=near.line.at[near.best];
            for(const [name,value] of [['x1',at],['x2',at],['y1',26],['y2',view.height-26]])cross.setAttribute(name,value);
            tip.textContent='';const row=text=>{const div=document.createElement('div');div.textContent=text;tip.append(div);return div};
            const value=near.line.said[near.best][0];
            row(svg.dataset.x.includes('1970')?new Date(value*1000).toISOString().slice(0,19).replace('T',' '):svg.dataset.x+' '+value);
            [...found.values()].filter(one=>one.away-near.away<12).slice(0,14).forEach(({line,best})=>{
              const div=row((line.dataset.name?line.dataset.name+': ':'')+line.said[best][1]);
              const dot=document.createElement('i');dot.className='dot';dot.style.background=line.getAttribute('stroke')||line.getAttribute('fill');div.prepend(dot)});
            const box=svg.getBoundingClientRect(),outer=svg.parentNode.getBoundingClientRect(),px=box.left-outer.left+at*box.width/view.width;
            if(at>view.width/2){tip.style.left='';tip.style.right=outer.width-px+10+'px'}else{tip.style.right='';tip.style.left=px+10+'px'}
            svg.here=at};
          svg.addEventListener('pointermove',event=>{const box=svg.getBoundingClientRect();show((event.clientX-box.left)*svg.viewBox.baseVal.width/box.width)});
          svg.addEventListener('pointerleave',hide);svg.addEventListener('blur',hide);
          svg.addEventListener('keydown',event=>{if(event.key==='Escape')hide();if(event.key!=='ArrowLeft'&&event.key!=='ArrowRight')return;
            event.preventDefault();const all=[...new Set(lines().flatMap(line=>line.at))].sort((a,b)=>a-b);if(!all.length)return;
            const at=cross?all.indexOf(svg.here)+(event.key==='ArrowRight'?1:-1):0;show(all[Math.max(0,Math.min(all.length-1,at))])})})}
        document.addEventListener('click',event=>{const name=event.target.closest('.legend button[data-line]');if(!name)return;
          const off=name.getAttribute('aria-pressed')==='true';name.setAttribute('aria-pressed',String(!off));
          name.closest('.panel').querySelectorAll('svg [data-line="'+name.dataset.line+'"]').forEach(line=>line.classList.toggle('off',off))});
        // Ranges dragged along parallel axes keep the runs that lie within all of them.
        function brush(){document.querySelectorAll('svg.parallel').forEach(svg=>{
          const lines=[...svg.querySelectorAll('[data-at]')].map(line=>[line,line.dataset.at.split(',').map(at=>at===''?null:+at)]);
          const grips=[...svg.querySelectorAll('.grip')],marks=[...svg.querySelectorAll('.brush')],kept={},said=document.getElementById('brushed'),plain=said.textContent;
          const apply=()=>{let count=0;const ranges=Object.entries(kept);
            for(const [line,at] of lines){const out=ranges.some(([axis,[low,high]])=>at[axis]===null||at[axis]<low||at[axis]>high);line.classList.toggle('out',out);if(!out)count++}
            said.textContent=ranges.length?count+' of '+lines.length+' runs are in all ranges; click an axis to let its range go.':plain};
          grips.forEach((grip,axis)=>{let from=null;
            const at=event=>{const box=grip.getBoundingClientRect();return Math.max(0,Math.min(1,1-(event.clientY-box.top)/box.height))};
            const drag=event=>{const to=at(event),low=Math.min(from,to),high=Math.max(from,to),height=+grip.getAttribute('height'),top=+grip.getAttribute('y');
              if(high-low<.01){delete kept[axis];marks[axis].setAttribute('height',0)}
              else{kept[axis]=[low,high];marks[axis].setAttribute('y',top+(1-high)*height);marks[axis].setAttribute('height',(high-low)*height)}apply()};
            grip.addEventListener('pointerdown',event=>{from=at(event);grip.setPointerCapture(event.pointerId);event.preventDefault();drag(event)});
            grip.addEventListener('pointermove',event=>{if(from!==null)drag(event)});
            grip.addEventListener('pointerup',()=>{from=null})})})}
        const keys=document.getElementById('keys');
        if(keys){document.getElementById('help').addEventListener('click',()=>keys.showModal());
          document.addEventListener('keydown',event=>{if(event.ctrlKey||event.metaKey||event.altKey||keys.open||/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)&&event.target.type!=='checkbox')return;
            const field=document.getElementById('filter')||document.getElementById('find');
            if(event.key==='?'){keys.showModal();event.preventDefault()}
            else if(event.key==='/'&&field){field.focus();event.preventDefault()}
            else if(event.key==='n'||event.key==='p'){const page=document.querySelector(event.key==='n'?'a[rel=next]':'a[rel=prev]');if(page)page.click()}})}
        """
}
