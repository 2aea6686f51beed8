// What the lit preview takes of three.js (https://threejs.org, MIT; three.LICENSE.txt). three.min.js beside this file is
// made from it, in an empty folder with a copy of this file:
//
//   npm install three@0.187.0 esbuild@0.28.2
//   npx esbuild three.entry.js --bundle --minify --format=esm --target=es2022 --legal-comments=inline --outfile=three.min.js

export {
  AmbientLight, BackSide, DirectionalLight, Mesh, MeshBasicMaterial, MeshStandardMaterial, PerspectiveCamera, PlaneGeometry,
  PMREMGenerator, RepeatWrapping, Scene, SphereGeometry, SRGBColorSpace, Texture, WebGLRenderer,
} from "three";
