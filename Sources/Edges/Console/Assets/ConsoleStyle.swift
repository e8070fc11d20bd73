/// The console's one stylesheet: light and dark by the reader's own setting, no build step, no web font.
enum ConsoleStyle {
    static let css = """
        :root{color-scheme:light dark;--bg:#f6f7f9;--panel:#fff;--ink:#1a2233;--soft:#5c6780;--line:#e1e5ee;
        --accent:#2757d6;--accent-soft:#e8eefc;--good:#14804a;--good-soft:#e2f5ea;--warn:#9a5b00;--warn-soft:#fdf1dc;
        --bad:#b3261e;--bad-soft:#fce8e6;--c0:#2757d6;--c1:#d2691e;--c2:#14804a;--c3:#8e44ad;--c4:#c2185b;--c5:#00838f;
        --c6:#7a6a00;--c7:#5d4037;--shadow:0 1px 2px rgba(20,30,60,.06)}
        @media(prefers-color-scheme:dark){:root{--bg:#10141d;--panel:#181e2a;--ink:#e6eaf3;--soft:#98a3ba;--line:#2a3242;
        --accent:#7ea2ff;--accent-soft:#1f2b4a;--good:#5fd39a;--good-soft:#15321f;--warn:#f0b45a;--warn-soft:#3a2a10;
        --bad:#ff8a80;--bad-soft:#3d1a18;--c0:#7ea2ff;--c1:#f0a35e;--c2:#5fd39a;--c3:#c792ea;--c4:#ff80ab;--c5:#4dd0e1;
        --c6:#d4c24a;--c7:#bcaaa4;--shadow:none}}
        *{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);
        font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
        a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
        header.top{display:flex;align-items:center;gap:26px;padding:0 28px;height:52px;background:var(--panel);
        border-bottom:1px solid var(--line);position:sticky;top:0;z-index:5}
        header.top .brand{font-weight:700;font-size:16px;color:var(--ink);letter-spacing:.2px;display:flex;gap:8px;align-items:center}
        header.top nav{display:flex;gap:4px;flex:1}header.top nav a{padding:6px 12px;border-radius:7px;color:var(--soft)}
        header.top nav a:hover{background:var(--bg);text-decoration:none}
        header.top nav a.here{color:var(--accent);background:var(--accent-soft);font-weight:600}
        header.top .version{color:var(--soft);font-size:12px}
        main{max-width:1280px;margin:0 auto;padding:24px 28px 60px}
        h1{font-size:22px;margin:0 0 4px;font-weight:650}h2{font-size:15px;margin:28px 0 10px;font-weight:650}
        .crumbs{color:var(--soft);font-size:13px;margin-bottom:6px}.sub{color:var(--soft);margin:0 0 18px}
        .panel{background:var(--panel);border:1px solid var(--line);border-radius:10px;padding:16px 18px;box-shadow:var(--shadow)}
        .grid{display:grid;gap:14px;grid-template-columns:repeat(auto-fit,minmax(210px,1fr))}
        .wide{display:grid;gap:14px;grid-template-columns:repeat(auto-fill,minmax(min(100%,460px),1fr))}.wide>*{min-width:0}
        .tile .n{font-size:26px;font-weight:650;font-variant-numeric:tabular-nums}.tile .l{color:var(--soft);font-size:13px}
        .scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
        th,td{text-align:left;padding:8px 12px;border-bottom:1px solid var(--line);white-space:nowrap}
        table.beside{table-layout:fixed}table.beside th{width:150px}table.beside th:first-child{width:220px}
        table.beside th,table.beside td{overflow:hidden;text-overflow:ellipsis}
        th{font-weight:600;color:var(--soft);font-size:12px}th.sort{cursor:pointer;user-select:none}
        th.sort:hover{color:var(--ink)}th[data-dir=up]::after{content:" ▲";font-size:9px}th[data-dir=down]::after{content:" ▼";font-size:9px}
        tbody tr:hover{background:var(--bg)}tbody tr:last-child td{border-bottom:0}td.num,th.num{text-align:right}
        td.wrap{white-space:normal;min-width:220px}.flush{padding:0;overflow:hidden}
        .mono{font-family:ui-monospace,"DejaVu Sans Mono",Menlo,monospace;font-size:12.5px}.soft{color:var(--soft)}
        .pill{display:inline-block;white-space:nowrap;padding:1px 9px;border-radius:99px;font-size:12px;text-transform:capitalize;font-weight:600;background:var(--bg);
        color:var(--soft);border:1px solid var(--line)}
        .pill.good{background:var(--good-soft);color:var(--good);border-color:transparent}
        .pill.warn{background:var(--warn-soft);color:var(--warn);border-color:transparent}
        .pill.bad{background:var(--bad-soft);color:var(--bad);border-color:transparent}
        .pill.run{background:var(--accent-soft);color:var(--accent);border-color:transparent}
        button,.button{font:inherit;font-weight:600;border:1px solid var(--line);background:var(--panel);color:var(--ink);
        padding:6px 14px;border-radius:8px;cursor:pointer;display:inline-block}button:hover,.button:hover{border-color:var(--accent);
        text-decoration:none}button.primary{background:var(--accent);border-color:var(--accent);color:var(--panel)}
        button.danger{color:var(--bad)}button:disabled{opacity:.5;cursor:default}
        input[type=text],input[type=search],select{font:inherit;color:var(--ink);background:var(--panel);border:1px solid var(--line);
        border-radius:8px;padding:6px 10px}:focus-visible{outline:2px solid var(--accent);outline-offset:1px}
        .bar{display:flex;gap:10px;align-items:center;flex-wrap:wrap;margin:0 0 14px}.bar .grow{flex:1}
        form.inline{display:inline}pre{margin:0;white-space:pre-wrap;word-break:break-word}
        pre.log{background:#0d1117;color:#d5dce8;padding:14px 16px;border-radius:10px;max-height:420px;overflow:auto;
        font:12.5px/1.55 ui-monospace,"DejaVu Sans Mono",Menlo,monospace}
        .empty{color:var(--soft);padding:26px;text-align:center}.empty code{background:var(--bg);padding:2px 7px;border-radius:6px}
        svg{display:block;max-width:100%}svg text{font:11px system-ui,"Liberation Sans",sans-serif;fill:var(--soft)}
        svg .axis{stroke:var(--line)}svg .title{font-weight:600;fill:var(--ink);font-size:12px}
        svg .node rect{fill:var(--panel);stroke:var(--line);stroke-width:1.5}svg .node .name{font-weight:600;fill:var(--ink);font-size:13px}
        svg .node.good rect{stroke:var(--good);fill:var(--good-soft)}svg .node.bad rect{stroke:var(--bad);fill:var(--bad-soft)}
        svg .node.run rect{stroke:var(--accent);fill:var(--accent-soft)}svg .node.warn rect{stroke:var(--warn);fill:var(--warn-soft)}
        svg .edge{fill:none;stroke:var(--soft);stroke-width:1.4;opacity:.55}
        .legend{display:flex;gap:14px;flex-wrap:wrap;font-size:12px;color:var(--soft);margin-top:8px}
        .legend i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:5px;vertical-align:-1px}
        .kv{margin:0;display:grid;grid-template-columns:max-content 1fr;gap:4px 18px}.kv dt{color:var(--soft)}.kv dd{margin:0;word-break:break-word}
        .split{display:flex;height:10px;border-radius:5px;overflow:hidden;background:var(--line)}.split i{display:block;height:100%}
        tr.differs td:first-child{box-shadow:inset 3px 0 0 var(--warn);font-weight:600}.progress{height:6px;background:var(--line);border-radius:3px;overflow:hidden;min-width:90px}
        .progress i{display:block;height:100%;background:var(--accent)}.notice{border-left:3px solid var(--accent);padding:8px 14px;
        background:var(--accent-soft);border-radius:6px;margin:0 0 16px}.notice.bad{border-color:var(--bad);background:var(--bad-soft)}
        .notice.warn{border-color:var(--warn);background:var(--warn-soft)}.notice{overflow-wrap:anywhere;margin:0 0 10px}
        .lineage{display:flex;gap:8px;align-items:center;flex-wrap:wrap}.lineage .arrow{color:var(--soft)}
        .lineage{gap:10px;margin:14px 0 0}.from{border:1px solid var(--line);border-radius:8px;padding:5px 12px;background:var(--bg)}
        .from small{display:block;color:var(--soft);font-size:11px;line-height:1.3}.from .mono{font-size:12.5px}
        .facts{display:flex;gap:4px 12px;align-items:center;flex-wrap:wrap;min-height:34px}.facts .grow{flex:1}.facts form{margin:0}
        .facts .mono{font-size:12px}.sub .facts{color:var(--soft)}.big{font-size:16px}.stack{display:grid;gap:14px}.stack>*{min-width:0}
        .version p{margin:4px 0 0}.measures{display:flex;flex-wrap:wrap;gap:8px 34px;margin:14px 0 0;font-variant-numeric:tabular-nums}
        header.top .version{padding:0}.measures b{display:block;font-size:18px;font-weight:650;line-height:1.2}.measures span{color:var(--soft);font-size:12px}
        details{margin-top:12px}summary{cursor:pointer;color:var(--soft);font-size:13px}details .kv,details .files{margin-top:10px}
        .files{list-style:none;margin:0;padding:0;columns:2 420px;column-gap:40px}.files li{display:flex;justify-content:space-between;gap:16px;
        padding:3px 0;break-inside:avoid}.files a{overflow-wrap:anywhere}.files .soft{white-space:nowrap;font-variant-numeric:tabular-nums;font-size:13px}
        .gallery{display:grid;gap:14px;grid-template-columns:repeat(auto-fill,minmax(min(100%,250px),1fr))}
        .picture img{display:block;max-width:100%;background:#fff;border-radius:6px;margin:0 auto}.gallery .picture{padding:10px}
        .gallery .picture img{width:100%;height:210px;object-fit:contain}.gallery .picture span{display:block;font-size:12px;color:var(--soft);margin-top:6px;
        overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
        .cut{max-width:380px;overflow:hidden;text-overflow:ellipsis}.name{max-width:300px;overflow:hidden;text-overflow:ellipsis}
        .value{white-space:normal;overflow-wrap:anywhere;max-height:6em;overflow:auto}.right{text-align:right}
        .share{display:flex;gap:10px;align-items:center}.share .progress{flex:1}.share .soft{font-size:12px}
        .progress.good i{background:var(--good)}.progress.bad i{background:var(--bad)}
        .span{width:230px;height:8px;border-radius:4px;background:var(--line);overflow:hidden}.span i{display:block;height:100%;border-radius:4px;
        background:var(--soft);min-width:3px}.span i.good{background:var(--good)}.span i.bad{background:var(--bad)}
        .span i.run{background:var(--accent)}.span i.warn{background:var(--warn)}
        .results{display:flex;gap:2px 14px;overflow:hidden}.given{color:var(--soft);font-size:13px}.given b{color:var(--ink);font-weight:600}
        .grid.small{grid-template-columns:repeat(auto-fit,minmax(150px,1fr))}.split{margin-bottom:12px}
        .dot{display:inline-block;width:9px;height:9px;border-radius:3px;margin-right:8px}
        .dag svg{max-width:none;margin:0 auto}.dag{padding:14px}svg .node.chosen rect{stroke-width:2.5}svg .node text{font-size:11.5px}
        pre.log .t{color:#6b7a90}pre.log .bad{color:#ff8a80}pre.log .good{color:#5fd39a}h1,h2{overflow-wrap:anywhere}h2 .soft{font-weight:400;font-size:13px}
        header.top nav a{white-space:nowrap}
        table.runs th a{color:inherit}table.runs td.best{color:var(--good);font-weight:650}table.runs tr:has(input:checked),table.runs tr.here{background:var(--accent-soft)}
        table.runs tr.here td:first-child{box-shadow:inset 3px 0 0 var(--accent)}.chooser{margin:0 0 14px}.chooser .panel{margin-top:8px}
        fieldset{border:0;padding:0;margin:0 0 12px;columns:4 200px}legend{font-weight:600;font-size:12px;color:var(--soft)}fieldset label{display:block;overflow-wrap:anywhere}
        .pager{margin-top:14px;justify-content:center}kbd{font:12px ui-monospace,monospace;border:1px solid var(--line);border-radius:4px;padding:0 5px;background:var(--panel)}
        .waterfall details{margin:0;border-bottom:1px solid var(--line)}.waterfall summary{display:flex;gap:14px;align-items:center;padding:5px 0;color:var(--ink)}
        .waterfall .what{width:280px;flex:none;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.waterfall .track{flex:1;min-width:80px}
        .spanrow{display:flex;gap:14px;align-items:center;padding:5px 0;border-bottom:1px solid var(--line)}.spanrow .name{width:230px}
        .spanrow .track{flex:1}.spanrow .num{width:150px;text-align:right}
        .waterfall .track i{display:block;height:12px;border-radius:3px;background:var(--accent)}.waterfall .track i.bad{background:var(--bad)}
        .waterfall .took{width:80px;text-align:right;color:var(--soft)}.waterfall .given{padding:6px 0 12px 20px}.waterfall pre{max-height:260px}
        .keys{font-size:12px}h3{font-size:13px;margin:16px 0 8px;color:var(--soft)}.choices label{color:var(--soft);font-size:13px}
        pre.lines{counter-reset:line}pre.lines span{display:block;padding-left:4em;position:relative;min-height:1.5em}
        pre.lines span::before{counter-increment:line;content:counter(line);position:absolute;left:0;width:3.2em;text-align:right;color:var(--soft);opacity:.7}
        iframe.page{display:block;width:100%;height:78vh;border:0;background:#fff;color-scheme:light}.pill.plain{text-transform:none}
        .prose{max-width:860px}.prose>:first-child{margin-top:0}.prose pre{background:var(--bg);padding:10px 14px;border-radius:8px;margin:10px 0}
        .prose :not(pre)>code{background:var(--bg);padding:1px 5px;border-radius:4px}.prose blockquote{margin:10px 0;padding-left:14px;border-left:3px solid var(--line);color:var(--soft)}
        .prose li.in{margin-left:22px}.prose h2{font-size:18px}.prose table{width:auto}.prose hr{border:0;border-top:1px solid var(--line)}.wide.top{align-items:start}
        svg .axis.strong{stroke:var(--soft);stroke-width:1.2}svg.parallel,svg.scatter{min-width:860px}svg.parallel polyline{opacity:.6;stroke-width:1.4}
        svg.parallel a:hover polyline,svg.parallel a:focus polyline{opacity:1;stroke-width:3}svg.parallel .out{opacity:.05;pointer-events:none}
        svg.parallel text{paint-order:stroke;stroke:var(--panel);stroke-width:3px;pointer-events:none}svg .grip{fill:transparent;cursor:ns-resize;touch-action:none}
        svg .brush{fill:var(--accent);opacity:.3;pointer-events:none}svg.scatter circle{opacity:.75}svg.scatter a:hover circle,svg.scatter a:focus circle{opacity:1;stroke:var(--ink);stroke-width:2}
        .ramp{display:inline-block;width:160px;height:10px;border-radius:3px;align-self:center}
        table.diff td{padding:0 8px;border:0;vertical-align:top}table.diff td:nth-child(-n+3){color:var(--soft);text-align:right;user-select:none;width:1%}
        table.diff tr.gone{background:var(--bad-soft)}table.diff tr.came{background:var(--good-soft)}table.diff tr.gap td{text-align:center;color:var(--soft)}
        .panel:has(>svg.chart){position:relative}svg .cross{stroke:var(--soft);stroke-dasharray:3 3}.off{display:none}
        .tip{position:absolute;top:26px;pointer-events:none;background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:6px 10px;
        font-size:12px;box-shadow:0 2px 8px rgba(20,30,60,.15);z-index:2;max-width:60%;font-variant-numeric:tabular-nums}.tip div{white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
        .legend:has(button){gap:0 14px}.legend button.line{font-weight:400;font-size:12px;color:var(--soft);border:0;background:none;padding:1px 2px}.legend button[aria-pressed=false]{opacity:.45;text-decoration:line-through}
        dialog{border:1px solid var(--line);border-radius:12px;background:var(--panel);color:var(--ink);padding:20px 26px;max-width:560px}dialog::backdrop{background:rgba(10,15,30,.45)}
        dialog h2{margin-top:0}dialog .kv{gap:8px 18px;margin-bottom:16px}#help{padding:2px 10px;font-weight:600;color:var(--soft)}
        form.edit{display:grid;gap:8px;justify-items:start;margin-top:8px}textarea{font:inherit;color:var(--ink);background:var(--panel);border:1px solid var(--line);
        border-radius:8px;padding:8px 10px;width:100%}.bar.last{margin:0}.bar label{color:var(--soft);font-size:13px}
        @media(max-width:900px){header.top{gap:10px;padding:0 16px}header.top nav{min-width:0;overflow-x:auto}header.top .version{display:none}
        header.top nav a{padding:6px 9px}}@media(max-width:700px){header.top{padding:0 12px}main{padding:16px 12px}}
        """
}
