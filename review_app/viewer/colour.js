// @ts-check
// Colours as the brand check measures them: CIELAB under D65, and CIEDE2000 (CIE 142-2001; Sharma, Wu, Dalal 2005).

/** @param {number} red 0 to 255 @param {number} green @param {number} blue @returns {[number, number, number]} */
function labOf(red, green, blue) {
  const [r, g, b] = [red, green, blue].map((value) => {
    const part = value / 255;
    return part > 0.04045 ? ((part + 0.055) / 1.055) ** 2.4 : part / 12.92;
  });
  const root = (part) => (part > 0.008856 ? Math.cbrt(part) : 7.787 * part + 16 / 116);
  const x = root((0.412453 * r + 0.35758 * g + 0.180423 * b) / 0.95047);
  const y = root(0.212671 * r + 0.71516 * g + 0.072169 * b);
  const z = root((0.019334 * r + 0.119193 * g + 0.950227 * b) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

/** @param {string} hex #rrggbb */
function labOfHex(hex) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return labOf(red, green, blue);
}

/** @param {number[]} one CIELAB @param {number[]} other CIELAB @returns {number} CIEDE2000 */
function ciede2000(one, other) {
  const degrees = Math.PI / 180;
  const seventh = (chroma) => Math.sqrt(chroma ** 7 / (chroma ** 7 + 25 ** 7));
  const mean = (Math.hypot(one[1], one[2]) + Math.hypot(other[1], other[2])) / 2;
  const stretch = 1 + 0.5 * (1 - seventh(mean));
  const [a1, a2] = [one[1] * stretch, other[1] * stretch];
  const [c1, c2] = [Math.hypot(a1, one[2]), Math.hypot(a2, other[2])];
  const hue = (a, b) => (a || b ? (Math.atan2(b, a) / degrees + 360) % 360 : 0);
  const [h1, h2] = [hue(a1, one[2]), hue(a2, other[2])];
  let turn = c1 * c2 ? h2 - h1 : 0;
  if (turn > 180) turn -= 360;
  if (turn < -180) turn += 360;
  const apart = Math.abs(h1 - h2);
  const hues = !(c1 * c2) ? h1 + h2 : apart <= 180 ? (h1 + h2) / 2 : (h1 + h2 + (h1 + h2 < 360 ? 360 : -360)) / 2;
  const [light, chroma] = [(one[0] + other[0]) / 2, (c1 + c2) / 2];
  const cosine = (times, from) => Math.cos((times * hues - from) * degrees);
  const t = 1 - 0.17 * cosine(1, 30) + 0.24 * cosine(2, 0) + 0.32 * cosine(3, -6) - 0.2 * cosine(4, 63);
  const l = (other[0] - one[0]) / (1 + (0.015 * (light - 50) ** 2) / Math.sqrt(20 + (light - 50) ** 2));
  const c = (c2 - c1) / (1 + 0.045 * chroma);
  const h = (2 * Math.sqrt(c1 * c2) * Math.sin((turn / 2) * degrees)) / (1 + 0.015 * chroma * t);
  const rotation = -2 * seventh(chroma) * Math.sin(60 * Math.exp(-(((hues - 275) / 25) ** 2)) * degrees);
  return Math.sqrt(Math.max(0, l * l + c * c + h * h + rotation * c * h));
}

/** The nearest of a palette. @param {number[]} lab @param {string[]} palette @returns {{colour: string, distance: number}} */
function nearestColour(lab, palette) {
  const far = palette.map((colour) => ({ colour, distance: ciede2000(lab, labOfHex(colour)) }));
  return far.reduce((best, one) => (one.distance < best.distance ? one : best));
}
