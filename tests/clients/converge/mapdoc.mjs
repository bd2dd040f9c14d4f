// The package under test, as somebody who installed it would have it: copied to where this folder's own Yjs is found.

import { cpSync, existsSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const built = fileURLToPath(new URL('../../../web/dist-mapdoc', import.meta.url));
const installed = fileURLToPath(new URL('../node_modules/@mapweave/mapdoc', import.meta.url));

if (!existsSync(`${built}/index.js`)) throw new Error('the package is not built: run `npm run build:mapdoc` in web/');
rmSync(installed, { recursive: true, force: true });
cpSync(built, installed, { recursive: true });

export const mapdoc = await import('@mapweave/mapdoc');
export const y14 = await import('@mapweave/mapdoc/y14');
