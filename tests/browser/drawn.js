// What can be wrong with a drawn page, whoever made it, as window.drawn: pictures, overflow, contrast. A finding is {kind, text};
// `where` is a function that names the place of an element in words.
window.drawn = (() => {
  const LEAST_CONTRAST = 3;  // WCAG 2.2, 1.4.11; text that a person shall read has more

  const short = (text, limit = 200) => String(text).replace(/\u001b\[[0-9;]*m/g, "").trim().replace(/\s+/g, " ").slice(0, limit);
  const finding = (kind, text) => ({ kind, text: short(text) });
  const visible = (element) => element.checkVisibility({ visibilityProperty: true }) && element.getBoundingClientRect().width > 1;
  const inside = (areas) => areas.flatMap((area) => [area, ...area.querySelectorAll("*")]);

  // what JupyterLab and nbconvert write where nothing is given
  const NO_ALT = ["", "Image", "No description has been provided for this image"];

  function images(root, where) {
    return [...root.querySelectorAll("img")].filter(visible).flatMap((image) => {
      const place = `${where(image)}: ${image.src.slice(0, 60)}`;
      if (image.complete && !image.naturalWidth) return [finding("image", `${place} is not shown`)];
      return NO_ALT.includes((image.alt || "").trim()) ? [finding("alt", `${place} has no alt text`)] : [];
    });
  }

  // Code may scroll, as it does in every code cell; the handle of a slider at its end stands out; a field scrolls what one types.
  const MAY_SCROLL = "pre, pre *, .cm-editor *, .slider-container, .slider-container *, input, textarea, select, mjx-container *, "
    + ".sideways, .formula, .formula *";

  function overflow(areas, where) {
    const wide = inside(areas).filter((element) =>
      element.clientWidth > 1 && element.scrollWidth > element.clientWidth + 2 && visible(element) && !element.matches(MAY_SCROLL));
    const innermost = [...new Set(wide)].filter((element) => !wide.some((other) => other !== element && element.contains(other)));
    return innermost.map((element) => finding("overflow", `${where(element)}: <${element.tagName.toLowerCase()}> needs `
      + `${element.scrollWidth} px, has ${element.clientWidth} px: ${short(element.innerText, 60)}`));
  }

  const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });

  function colour(css) {  // any CSS colour -> [red, green, blue, alpha], each 0..1
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = css;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data].map((value) => value / 255);
  }

  const over = (front, back) => [0, 1, 2].map((i) => front[i] * front[3] + back[i] * (1 - front[3]));

  function backdrop(element) {  // the colour behind an element; null where a picture lies behind it
    if (!element) return [1, 1, 1];
    const style = getComputedStyle(element);
    if (style.backgroundImage !== "none") return null;
    const own = colour(style.backgroundColor);
    const behind = own[3] < 1 ? backdrop(element.parentElement) : [0, 0, 0];
    return behind && over(own, behind);
  }

  function luminance(rgb) {  // WCAG 2.2
    const [red, green, blue] = rgb.map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }

  function ratio(element) {
    const back = backdrop(element);
    if (!back) return Infinity;
    const [dark, light] = [luminance(back), luminance(over(colour(getComputedStyle(element).color), back))].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  }

  function contrast(areas, where) {
    const holdsText = (element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    return [...new Set(inside(areas))].filter((element) => !element.matches(":disabled") && holdsText(element) && visible(element)
      && ratio(element) < LEAST_CONTRAST)
      .map((element) => finding("contrast", `${where(element)}: ${ratio(element).toFixed(1)} to 1: ${short(element.innerText, 60)}`));
  }

  // What MathJax writes for screen readers lies clipped behind the formula, and may reach over the margin without being seen.
  const UNSEEN = Object.assign(document.createElement("style"), { textContent: "mjx-assistive-mml { display: none !important }" });

  function unfolded(root, look) {  // look(), with everything unfolded: the table behind a figure is looked at too
    const folded = [...root.querySelectorAll("details:not([open])")];
    folded.forEach((details) => { details.open = true; });
    document.head.append(UNSEEN);
    const found = look();
    folded.forEach((details) => { details.open = false; });
    UNSEEN.remove();
    return found;
  }

  return { short, finding, images, overflow, contrast, unfolded };
})();
