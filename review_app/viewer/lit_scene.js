// @ts-check
// A texture on a sphere or a plane under one light: everything that knows three.js, which is handed in as `three`
// (review_app/lit_preview/three.entry.js has its names).

const FIELD = 30; // degrees, of the camera
const ROOM = 1.15; // around the shape
const AMBIENT = 0.45;
const TILES = { sphere: 1, plane: 1, tiles: 2 };

/**
 * Raises what WebGLRenderer raises. The caller sizes the canvas by CSS and calls `draw` when that changes.
 * @param {any} three @param {HTMLCanvasElement} canvas
 */
function newScene(three, canvas) {
  const renderer = new three.WebGLRenderer({ canvas, antialias: true, alpha: true });
  const scene = new three.Scene();
  const camera = new three.PerspectiveCamera(FIELD, 1, 0.1, 20);
  const lamp = new three.DirectionalLight("#fff", 2.6);
  const ambient = new three.AmbientLight("#fff", AMBIENT);
  scene.add(lamp, ambient);
  return { three, renderer, scene, camera, lamp, ambient, mesh: null, textures: [] };
}

/** With the pictures of the maps, decoded. @param {any} maps  as /lit/<digest> answers */
async function loadMaps(maps) {
  const loads = maps.maps.map(async ({ kind, url }) => {
    const image = new Image();
    image.src = url;
    await image.decode();
    return [kind, image];
  });
  return { ...maps, pictures: Object.fromEntries(await Promise.all(loads)) };
}

/** A texture that goes on in all directions; `colour`: its levels are sRGB and not data. */
function newTexture(lit, picture, { colour, across, down }) {
  const { three } = lit;
  const texture = new three.Texture(picture);
  texture.wrapS = texture.wrapT = three.RepeatWrapping;
  texture.anisotropy = 8;
  if (colour) texture.colorSpace = three.SRGBColorSpace;
  texture.repeat.set(across, down);
  texture.needsUpdate = true;
  lit.textures.push(texture);
  return texture;
}

/** What the scene shows from now on. `map`: "" for all of them under the light, or one by itself, without light. */
function showShape(lit, maps, { shape, map }) {
  const { three, scene } = lit;
  clearShape(lit);
  const [wide, tall] = maps.width >= maps.height ? [2, (2 * maps.height) / maps.width] : [(2 * maps.width) / maps.height, 2];
  const round = shape === "sphere";
  const tiles = TILES[shape];
  // around a sphere as often as the picture keeps its proportions at the equator
  const repeat = { across: round ? Math.max(1, Math.round((2 * maps.height) / maps.width)) : tiles, down: tiles };
  const geometry = round ? new three.SphereGeometry(1, 256, 128) : new three.PlaneGeometry(wide, tall, 256, 256);
  const tile = round ? Math.PI : tall / tiles; // in units of the scene, of one tile's height
  const material = map ? plainMaterial(lit, maps, map, repeat) : litMaterial(lit, maps, repeat, tile);
  lit.mesh = new three.Mesh(geometry, material);
  lit.size = round ? [2, 2] : [wide, tall];
  scene.add(lit.mesh);
}

function plainMaterial(lit, maps, map, repeat) {
  return new lit.three.MeshBasicMaterial({ map: newTexture(lit, maps.pictures[map], { colour: true, ...repeat }) });
}

/** With every map that there is. `tile`: the height of one repetition, in units of the scene. */
function litMaterial(lit, maps, repeat, tile) {
  const { three, scene } = lit;
  const at = (kind) => maps.pictures[kind] && newTexture(lit, maps.pictures[kind], { colour: kind === "colour", ...repeat });
  const given = { map: at("colour"), roughnessMap: at("roughness"), aoMap: at("ao"), metalnessMap: at("metallic") };
  const material = new three.MeshStandardMaterial({ roughness: given.roughnessMap ? 1 : 0.8, metalness: given.metalnessMap ? 1 : 0 });
  for (const [name, texture] of Object.entries(given)) if (texture) material[name] = texture;
  const normal = at("normal_gl") || at("normal_dx");
  const height = at("height");
  if (normal) {
    material.normalMap = normal;
    material.normalScale.set(1, maps.pictures.normal_gl ? 1 : -1); // in a DirectX map green points down
  }
  if (height) {
    Object.assign(material, { displacementMap: height, displacementScale: maps.relief * tile, displacementBias: (-maps.relief * tile) / 2 });
    if (!normal) Object.assign(material, { bumpMap: height, bumpScale: maps.relief * tile });
  }
  // metal shows only what it mirrors: for it the ambient light comes from walls
  scene.environment = given.metalnessMap ? greyRoom(lit) : null;
  lit.ambient.intensity = given.metalnessMap ? 0 : AMBIENT;
  return material;
}

/** An even grey all around. */
function greyRoom(lit) {
  if (lit.room) return lit.room.texture;
  const { three, renderer } = lit;
  const around = new three.Scene();
  const wall = new three.Mesh(new three.SphereGeometry(5), new three.MeshBasicMaterial({ color: "#888", side: three.BackSide }));
  around.add(wall);
  const maker = new three.PMREMGenerator(renderer);
  lit.room = maker.fromScene(around);
  maker.dispose();
  wall.geometry.dispose();
  wall.material.dispose();
  return lit.room.texture;
}

/** Draws once, as large as the canvas is. Angles in degrees: from where the light comes, to the right and upwards. */
function drawScene(lit, { right, up }) {
  const { renderer, camera, lamp, scene } = lit;
  const { clientWidth, clientHeight } = renderer.domElement;
  if (!lit.mesh || !clientWidth || !clientHeight) return;
  const [azimuth, elevation] = [right, up].map((angle) => (angle * Math.PI) / 180);
  lamp.position.set(Math.sin(azimuth) * Math.cos(elevation), Math.sin(elevation), Math.cos(azimuth) * Math.cos(elevation));
  camera.aspect = clientWidth / clientHeight;
  const half = Math.max(lit.size[1] / 2, lit.size[0] / 2 / camera.aspect) * ROOM;
  const front = lit.size[0] === 2 && lit.mesh.geometry.type === "SphereGeometry" ? 0.2 : 0; // the sphere's outline is nearer
  camera.position.set(0, 0, half / Math.tan((FIELD * Math.PI) / 360) + front);
  camera.updateProjectionMatrix();
  renderer.setPixelRatio(Math.min(2, window.devicePixelRatio || 1));
  renderer.setSize(clientWidth, clientHeight, false);
  renderer.render(scene, camera);
}

/** Nothing of the image before stays on the canvas. */
function emptyScene(lit) {
  clearShape(lit);
  lit.renderer.clear();
}

function clearShape(lit) {
  if (lit.mesh) {
    lit.scene.remove(lit.mesh);
    lit.mesh.geometry.dispose();
    lit.mesh.material.dispose();
  }
  for (const texture of lit.textures) texture.dispose();
  Object.assign(lit, { mesh: null, textures: [] });
}
