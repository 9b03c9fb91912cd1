// What walk.py asks of the page of JupyterLab, as window.walk. Errors and outputs are read from the document and from the kernel's
// messages, never from the drawn page: a cell can fail off-screen, and the error of a slider's callback is drawn nowhere at all.
// A finding is {kind, text}. The functions of the first half read the document and the kernel; what is drawn is looked at by drawn.js.
window.walk = (() => {
  const WIDGET = "application/vnd.jupyter.widget-view+json";

  const app = () => window.jupyterapp;
  const panel = () => app().shell.currentWidget;
  const cells = () => [...panel().content.widgets];
  const code = () => cells().filter((cell) => cell.model.type === "code");
  const scroller = () => panel().node.querySelector(".jp-WindowedPanel-outer");
  const { short, finding } = window.drawn;
  const joined = (text) => [].concat(text).join("");

  // ---- the document and the kernel ----

  const heard = { findings: [], deaths: [], finished: false };

  function ready() {
    const kernel = app()?.shell.currentWidget?.sessionContext?.session?.kernel;
    return Boolean(kernel && kernel.status === "idle" && panel().content.widgets.length && scroller());
  }

  const SEARCH = /^No such comm/;  // a fresh kernel says so when JupyterLab asks it for the widgets of an earlier page

  function listen() {  // hears what no cell shows: the callback of a slider, the inside of an Output widget
    panel().sessionContext.iopubMessage.connect((_, message) => {
      if (heard.deaths.length) return;  // the next kernel's words about its start are not the lab's
      const { ename, evalue, name, text } = message.content;
      if (message.header.msg_type === "error") heard.findings.push(finding("error", `${ename}: ${evalue}`));
      if (message.header.msg_type === "stream" && name === "stderr" && !SEARCH.test(text)) heard.findings.push(finding("stderr", text));
    });
    panel().sessionContext.statusChanged.connect((_, status) => {
      if (["dead", "autorestarting", "restarting"].includes(status)) heard.deaths.push(status);
    });
  }

  function runAll() {
    app().commands.execute("notebook:run-all-cells").finally(() => { heard.finished = true; });
  }

  const dialogs = () => [...document.querySelectorAll(".jp-Dialog")].map((dialog) => short(dialog.innerText));
  const alive = () => heard.deaths.length === 0 && dialogs().length === 0;
  const stopped = () => heard.finished || !alive();
  const computing = () => [...panel().node.querySelectorAll(".jp-OutputArea [role=status]")].some((word) => word.innerText.trim());
  const idle = () => panel().sessionContext.session?.kernel?.status === "idle" && !computing();

  function label(cell) {
    const first = short(cell.model.sharedModel.getSource().split("\n").find((line) => line.trim()) || "", 60);
    return cell.model.type === "code" ? `code cell ${code().findIndex((other) => other === cell) + 1} (${first})` : `text (${first})`;
  }

  function ofOutputs(cell) {
    return cell.outputArea.model.toJSON().flatMap((output) => {
      if (output.output_type === "error") return [finding("error", `${label(cell)}: ${output.ename}: ${output.evalue}`)];
      if (output.name === "stderr") return [finding("stderr", `${label(cell)}: ${joined(output.text)}`)];
      return [];
    });
  }

  const BROKEN = /Error displaying widget|Loading widget\.\.\.|Failed to load model|Error creating widget/;

  const CLOSED = ".lm-mod-hidden";  // a widget that its program closed, as a progress bar at its end

  function ofWidgets(cell) {  // a widget that has no view left is drawn as its text, as "Loading widget..." or as an error
    const promised = cell.outputArea.model.toJSON().filter((output) => output.data && WIDGET in output.data).length;
    const outputs = [...cell.node.querySelectorAll(".jp-OutputArea-output")];
    const drawn = outputs.filter((output) => output.querySelector(".jupyter-widgets") || output.matches(CLOSED)).length;
    const broken = BROKEN.exec(cell.outputArea.node.innerText);
    if (broken) return [finding("widget", `${label(cell)}: ${broken[0]}`)];
    return drawn < promised ? [finding("widget", `${label(cell)}: ${drawn} of ${promised} widgets are drawn`)] : [];
  }

  function ofCards(cell) {  // the labs' own cards: a claim that does not hold, a slider's function that fails
    const cards = [...cell.outputArea.node.querySelectorAll(".odl-warn, .odl-bad")];
    const wrong = cards.filter((card) => card.matches(".odl-warn") || card.innerText.includes("No result for"));
    return wrong.map((card) => finding("warning", `${label(cell)}: ${card.innerText}`));
  }

  function ofKernel() {
    const status = panel().sessionContext.session?.kernel?.status || "gone";
    const unrun = code().filter((cell) => cell.model.sharedModel.getSource().trim() && !cell.model.executionCount);
    return [
      ...heard.deaths.slice(0, 1).map((death) => finding("kernel", `the kernel died (${death})`)),
      ...(status === "idle" ? [] : [finding("kernel", `the kernel is ${status}`)]),
      ...dialogs().map((dialog) => finding("kernel", `a dialog came up: ${dialog}`)),
      ...unrun.map((cell) => finding("unrun", `${label(cell)} did not run`)),
    ];
  }

  function ofCallbacks(shown) {  // what the kernel said and no cell holds
    const isShown = ({ kind, text }) => shown.some((other) => other.kind === kind && other.text.includes(text.slice(0, 80)));
    const unseen = heard.findings.filter((found) => !isShown(found));
    return unseen.map(({ kind, text }) => finding(kind, `in no cell's output (a widget's callback?): ${text}`));
  }

  function documentFindings() {
    const outputs = code().flatMap(ofOutputs);
    return [...ofKernel(), ...outputs, ...ofCallbacks(outputs), ...code().flatMap(ofWidgets), ...code().flatMap(ofCards)];
  }

  // ---- the drawn page: see drawn.js ----

  const DRAWN = ".jp-OutputArea-output, .jp-MarkdownOutput";  // what a lab draws: outputs and rendered text
  const ITS_OWN = ["application/vnd.jupyter.error", "application/vnd.jupyter.stderr"];  // coloured by JupyterLab, and findings anyway

  function ofDrawing(cell) {
    const areas = [...cell.node.querySelectorAll(DRAWN)], own = areas.filter((area) => !ITS_OWN.includes(area.dataset.mimeType));
    return [...window.drawn.images(cell.node, () => label(cell)), ...window.drawn.overflow(areas, () => label(cell)),
      ...window.drawn.contrast(own, () => label(cell))];
  }

  function ofSheet() {
    const sideways = [scroller(), document.documentElement].filter((box) => box.scrollWidth > box.clientWidth + 2);
    return sideways.slice(0, 1).map((box) =>
      finding("overflow", `the whole notebook needs ${box.scrollWidth} px, has ${box.clientWidth} px`));
  }

  const pageFindings = () => window.drawn.unfolded(panel().node, () => [...ofSheet(), ...cells().flatMap(ofDrawing)]);

  // ---- looks, screenshots, actions ----

  async function useTheme(name) {
    await app().commands.execute("apputils:change-theme", { theme: name });
    if (!app().shell.leftCollapsed) await app().commands.execute("application:toggle-left-area");
  }

  const shape = () => `${scroller().scrollHeight} ${scroller().scrollWidth} ${panel().node.innerText.length}`;

  function view() {
    const { x, y, width, height } = scroller().getBoundingClientRect();
    const last = cells().at(-1).node.getBoundingClientRect();
    return { clip: { x, y, width, height }, total: Math.ceil(scroller().scrollTop + last.bottom - y) + 20 };
  }

  // What a cell shows, but for the sliders themselves and "computing ...": what must change when somebody moves or presses something.
  function shown(element) {
    const copy = element.closest(".jp-Cell").querySelector(".jp-Cell-outputWrapper").cloneNode(true);
    copy.querySelectorAll(".widget-slider, [role=status]").forEach((part) => part.remove());
    return copy.innerHTML;
  }

  return {
    ready, listen, runAll, stopped, alive, idle, documentFindings, pageFindings, useTheme, shape, view, shown,
    scroll: (top) => { scroller().scrollTop = top; },
    count: () => cells().length,
    shutdown: () => panel().sessionContext.shutdown(),
  };
})();
