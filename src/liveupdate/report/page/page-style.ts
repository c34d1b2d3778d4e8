/**
 * The style of the page: light and dark, from 400 pixels of width on, and in print. Nothing is told by colour
 * alone: bars have numbers, outcomes have words. Must not: name another file.
 */

const LIGHT =
  'color-scheme:light;--page:#fff;--ink:#1b1b1b;--dim:#595959;--line:#c8c8c8;--bad:#a40000;--jump:#b00020;--hatch:#767676'
const DARK =
  'color-scheme:dark;--page:#16181b;--ink:#ededed;--dim:#b5b5b5;--line:#4c4f54;--bad:#ff8a80;--jump:#ff6b7a;--hatch:#9a9a9a'

export const PAGE_STYLE = `
:root{${LIGHT}}
@media (prefers-color-scheme:dark){:root{${DARK}}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:1rem/1.45 system-ui,sans-serif}
main{max-width:75rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;margin:.2rem 0 1rem}
h2{font-size:1.2rem;margin:1.6rem 0 .5rem}
h3{font-size:1rem;margin:1.2rem 0 .3rem}
h1,p,li,dd,th,td,caption{overflow-wrap:anywhere}
.verdict{font-weight:600}
.dim,caption{color:var(--dim)}
caption{text-align:left;padding-bottom:.4rem}
table{width:100%;border-collapse:collapse;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.25rem .5rem .25rem 0;border-bottom:1px solid var(--line);font-weight:400}
thead th{font-weight:600}
tbody th{font-weight:600}
.outcome{white-space:nowrap;font-size:.85rem;font-weight:400}
.stranded,.saved,.left{color:var(--bad)}
.troubles li{margin-bottom:.5rem}
.totals>div,.legend>div{display:grid;grid-template-columns:minmax(6rem,9rem) 1fr;gap:.5rem}
dl,dd{margin:0}
dt{font-weight:600}
.guests{table-layout:fixed}
.guests .name{width:30%}
.guests .figure{width:18%}
.guests td:last-child,.guests th:last-child{padding:0 .3rem 0 0}
.guests tbody td:last-child{vertical-align:middle;height:2.4rem}
.axis{position:relative;height:2.6rem;margin-top:.2rem;font-weight:400;font-size:.75rem}
.tick{position:absolute;bottom:0;white-space:nowrap;border-left:1px solid var(--ink);padding-left:.15rem}
.tick.late{transform:translateX(-100%);border-left:0;border-right:1px solid var(--ink);padding:0 .15rem 0 0}
.jump-tick{bottom:1.25rem;color:var(--jump);border-color:var(--jump);font-weight:600}
.track{position:relative;height:1.5rem}
.guests .track{height:2.4rem}
.track i{position:relative;color:var(--dim);font-size:.8rem}
.bar{position:absolute;top:.15rem;bottom:.15rem;min-width:2px;overflow:hidden;white-space:nowrap;border:1px solid #3a3a3a;color:#111;font-size:.75rem;line-height:1.1rem;padding-left:1px}
.guests .bar{top:.4rem;bottom:.4rem;line-height:1.45rem}
.jump-line{position:absolute;top:0;bottom:0;border-left:2px dashed var(--jump);z-index:2}
.doubt{position:absolute;top:0;bottom:0;z-index:1;min-width:2px;background:repeating-linear-gradient(45deg,var(--hatch) 0 1px,transparent 1px 5px)}
.swatch{display:inline-block;min-width:1.5rem;text-align:center;border:1px solid #3a3a3a;color:#111;font-weight:400}
.bar,.swatch,.doubt{-webkit-print-color-adjust:exact;print-color-adjust:exact}
.save{background:#9ecae9}
.quit{background:#cfe3f3}
.freeze{background:#c7c4e2}
.preserve{background:#e6d4f2}
.jump{background:#f4a7a3}
.boot{background:#f9d0a0}
.mount{background:#f7e59a}
.wait{background:#dcdcdc}
.launch{background:#d3edb5}
.start{background:#a7dba3}
.load{background:#8fd3c1}
.continue{background:#6fc3d6}
.blackout{background:#9ecae9}
.scroll{overflow-x:auto}
.scroll:focus-visible{outline:2px solid var(--jump)}
.figures th,.figures td{white-space:nowrap;overflow-wrap:normal}
@media (max-width:40rem){
main{padding:.6rem}
table{font-size:.8rem}
th,td{padding-right:.3rem}
.legend>div{grid-template-columns:minmax(6rem,7rem) 1fr}
}
@media print{
:root{${LIGHT}}
main{max-width:none;padding:0}
table{font-size:8pt}
thead{display:table-header-group}
tr,li,dl>div{break-inside:avoid}
h2,h3,caption{break-after:avoid}
.scroll{overflow:visible}
.figures th,.figures td{white-space:normal;overflow-wrap:anywhere}
}
`
