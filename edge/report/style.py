"""The look of `report.html`: one style sheet for light and dark, wide and narrow.

Text contrast is at least 4.5:1 in both schemes. Classes `good`, `bad`, `wait`
and `none` are those of `timeline.Mark`.
"""

CSS = """
:root{--ground:#fff;--text:#1b1f24;--soft:#56606b;--line:#d5dae0;--rail:#f1f3f5;
--good:#1f7a4d;--bad:#b3261e;--bad-ground:#f6c9c5;--wait:#6b5b00;--wait-ground:#f3e7b3}
@media (prefers-color-scheme:dark){:root{--ground:#14171a;--text:#e8eaed;--soft:#a3adb8;
--line:#39414a;--rail:#1f2429;--good:#58c48d;--bad:#ff8a80;--bad-ground:#5b2320;
--wait:#e6cf6a;--wait-ground:#4a4217}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:62rem;padding:1rem;background:var(--ground);color:var(--text);
font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;margin:.5rem 0 0}
h2{font-size:1.25rem;margin:0}
a{color:inherit}
section{border-top:1px solid var(--line);margin-top:2rem;padding-top:1.5rem}
.note,small,footer,figcaption,dt{color:var(--soft)}
.note{border-left:3px solid var(--line);padding-left:.75rem}
.ok{color:var(--good)}.no{color:var(--bad)}.ok,.no{white-space:nowrap}
h2 b{font-size:1rem}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:.5rem 1rem}
dt{font-size:.85rem}dd{margin:0;overflow-wrap:anywhere}
figure{margin:1.5rem 0}
.row span{display:block;font-size:.85rem;overflow-wrap:anywhere}
.row{margin-top:.4rem}.row.small{margin-top:.25rem}
.row.small span{font:.75rem ui-monospace,monospace}
svg{display:block}svg.defs{position:absolute}
.rail{fill:var(--rail);stroke:var(--line)}
rect.good{fill:var(--good)}rect.bad{fill:url(#hatch)}rect.wait{fill:url(#dots)}
.bad-ground{fill:var(--bad-ground)}.bad-line{fill:var(--bad)}
.wait-ground{fill:var(--wait-ground)}.wait-dot{fill:var(--wait)}
.axis line{stroke:var(--soft)}.axis text{fill:var(--soft);font-size:12px}
figcaption{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;font-size:.85rem;margin-top:.5rem}
.key i{display:inline-block;width:1rem;margin-right:.35rem;border:1px solid var(--line)}
.k-good{height:1rem;background:var(--good)}
.k-bad{height:.65rem;
background:repeating-linear-gradient(45deg,var(--bad) 0 2px,var(--bad-ground) 2px 5px)}
.k-wait{height:.45rem;background:var(--wait-ground)}.k-none{height:1rem;background:var(--rail)}
table{border-collapse:collapse;width:100%;margin:1rem 0;font-size:.9rem}
caption{text-align:left;font-weight:600;padding:.25rem 0}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem .35rem 0;
border-bottom:1px solid var(--line)}
td.num{font-variant-numeric:tabular-nums}
code{font-size:.85em;overflow-wrap:break-word}
summary{cursor:pointer}
@media (max-width:40rem){thead{position:absolute;width:1px;height:1px;overflow:hidden;
clip-path:inset(50%)}tr{display:block;padding:.4rem 0;border-bottom:1px solid var(--line)}
td{display:flex;gap:.75rem;border:0;padding:.1rem 0}
td::before{content:attr(data-head);flex:0 0 7.5rem;color:var(--soft)}}
@media print{section{break-inside:avoid}}
"""
