"""The style sheet that every figure and every card of a lab carries: JupyterLab, VS Code, Colab and static pages, light and dark.

JupyterLab's own colours where it has them. A picture is there twice (.odl-l, .odl-d); the page decides which one shows.
"""

STYLE = """<style>
.odl { --odl-ink: var(--jp-content-font-color1, #1f2328); --odl-mute: #5c6670; --odl-good: #00734f; --odl-bad: #b3261e; --odl-mark: #0065a0;
  --odl-keyword: #00609c; --odl-string: #8a5300; --odl-name: #00684a; --odl-l: block; --odl-d: none;
  color: var(--odl-ink); font: 14px/1.5 var(--jp-ui-font-family, system-ui, sans-serif); max-width: 760px; margin: 8px 0 12px; }
[data-jp-theme-light="false"] .odl, body.vscode-dark .odl, html[theme=dark] .odl, html[data-theme=dark] .odl {
  --odl-ink: var(--jp-content-font-color1, #e8e8e8); --odl-mute: #a8b0b8; --odl-good: #4fc79b; --odl-bad: #ff8f7d; --odl-mark: #56b4e9;
  --odl-keyword: #7fc4f0; --odl-string: #e8b061; --odl-name: #5fd0a5; --odl-l: none; --odl-d: block; }
@media (prefers-color-scheme: dark) {
  html:not([theme]):not([data-theme]) body:not([data-jp-theme-light]):not([class*=vscode]):not(.notebook_app) .odl {
    --odl-ink: #e8e8e8; --odl-mute: #a8b0b8; --odl-good: #4fc79b; --odl-bad: #ff8f7d; --odl-mark: #56b4e9;
    --odl-keyword: #7fc4f0; --odl-string: #e8b061; --odl-name: #5fd0a5; --odl-l: none; --odl-d: block; } }
.odl .odl { margin: 0; }
.widget-html > .widget-html-content { min-width: 0; }
.odl.widget-box { box-sizing: border-box; width: 100%; margin: 8px 0 12px; overflow: visible; }
.odl .widget-html-content { line-height: 1.5; font-size: 14px; }
.odl .widget-radio-box label { display: flex; align-items: flex-start; height: auto; line-height: 1.4; margin-bottom: 4px;
  white-space: normal; color: inherit; font-size: 14px; }
.odl .widget-radio-box label input { order: -1; flex: none; margin: 0 9px 0 1px; }
.odl-wide { max-width: 1120px; }
.odl img { max-width: 100%; height: auto; margin: 0; }
.odl .odl-l { display: var(--odl-l) !important; }
.odl .odl-d { display: var(--odl-d) !important; }
.odl-title { font-weight: 600; font-size: 15px; margin: 0 0 6px; }
.odl .odl-mute, .odl.odl-mute, .odl summary { color: var(--odl-mute); font-size: 13px; }
.odl summary { cursor: pointer; margin-top: 4px; width: max-content; max-width: 100%; }
.odl summary:focus-visible { outline: 2px solid var(--odl-mark); }
.odl pre.odl-pre { font: 12.5px/1.5 var(--jp-code-font-family, ui-monospace, monospace); color: var(--odl-ink);
  background: rgba(128, 128, 128, .1); border-radius: 4px; margin: 4px 0 0; padding: 10px 12px; overflow-x: auto; white-space: pre; }
.odl-pre i.odl-no { color: var(--odl-mute); font-style: normal; display: inline-block; width: 2.4em; margin-right: 1.2em; text-align: right;
  user-select: none; }
.odl-pre .k, .odl-pre .kn, .odl-pre .kc, .odl-pre .ow { color: var(--odl-keyword); font-weight: 600; }
.odl-pre .nf, .odl-pre .nc { color: var(--odl-name); font-weight: 600; }
.odl-pre .s1, .odl-pre .s2, .odl-pre .sd, .odl-pre .sa, .odl-pre .mi, .odl-pre .mf { color: var(--odl-string); }
.odl-pre .c1 { color: var(--odl-mute); }
.odl-card { border: 1px solid rgba(128, 128, 128, .35); border-left: 4px solid var(--odl-mark); border-radius: 4px; padding: 10px 14px; }
.odl-card.odl-good { border-left-color: var(--odl-good); } .odl-card.odl-warn, .odl-card.odl-bad { border-left-color: var(--odl-bad); }
.odl-card p { margin: 4px 0 0; } .odl-card > :last-child { margin-bottom: 0; }
.odl-good .odl-word { color: var(--odl-good); } .odl-bad .odl-word, .odl-warn .odl-word { color: var(--odl-bad); }
.odl-ask .odl-word { color: var(--odl-mark); } .odl-word { font-weight: 600; margin-right: .5em; }
.odl ul.odl-options { list-style: none; margin: 6px 0 0; padding: 0; }
.odl ul.odl-options > li { margin: 0 0 4px; padding: 4px 10px; border-radius: 4px; border: 1px solid rgba(128, 128, 128, .2); }
.odl ul.odl-options > li.odl-hit { border: 2px solid var(--odl-mark); padding: 3px 9px; }
.odl .odl-tag { float: right; margin-left: 1em; font-weight: 600; font-size: 13px; color: var(--odl-mark); }
.odl-big { font-size: 17px; font-weight: 600; margin: 2px 0; }
.odl-card code { background: rgba(128, 128, 128, .14); padding: 1px 4px; border-radius: 3px; color: inherit; font-size: 12.5px; }
.odl table.odl-facts { border: 0; margin: 6px 0 0; border-collapse: collapse; color: inherit; font-size: 13px; }
.odl table.odl-facts td:first-child, .odl table.odl-short td { white-space: nowrap; }
.odl table.odl-short td:first-child { white-space: normal; }
.odl table.odl-facts th { text-align: left; padding: 8px 0 2px; background: none; }
.odl table.odl-facts tr, .odl table.odl-facts td { background: none; border: 0; padding: 1px 14px 1px 0; text-align: left;
  vertical-align: top; }
</style>"""
