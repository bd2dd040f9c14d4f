// Completes web/dist-mapdoc, into which the compiler has put the modules and their types, to a package: its description, README and licences.

import { copyFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

for (const name of ['package.json', 'README.md'])
  copyFileSync(path(`../src/mapdoc/${name}`), path(`../dist-mapdoc/${name}`));
for (const name of ['LICENSE-MIT', 'LICENSE-APACHE'])
  copyFileSync(path(`../../${name}`), path(`../dist-mapdoc/${name}`));
