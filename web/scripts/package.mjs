// Completes web/dist-NAME, into which the compiler has put the modules of src/NAME and their types, to a package: its description, README
// and licences. Usage: node scripts/package.mjs NAME

import { copyFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const [name] = process.argv.slice(2);
const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

for (const file of ['package.json', 'README.md'])
  copyFileSync(path(`../src/${name}/${file}`), path(`../dist-${name}/${file}`));
for (const file of ['LICENSE-MIT', 'LICENSE-APACHE'])
  copyFileSync(path(`../../${file}`), path(`../dist-${name}/${file}`));
