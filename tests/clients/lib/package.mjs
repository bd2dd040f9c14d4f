// An npm package of this repository as somebody gets it who installs it: packed, unpacked beside what it needs, used in plain Node.

import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const modules = fileURLToPath(new URL('../node_modules', import.meta.url));

/** A project with the packed package `@mapweave/NAME` and `dependencies` of this folder. */
export function project(t, name, dependencies) {
  const built = fileURLToPath(new URL(`../../../web/dist-${name}`, import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), `${name}-package-`));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const options = { encoding: 'utf8', cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] };
  const packed = JSON.parse(execFileSync('npm', ['pack', built, '--json', '--offline', '--loglevel=error'], options));
  const [{ filename, files }] = packed;
  const target = join(folder, 'node_modules/@mapweave', name);
  mkdirSync(target, { recursive: true });
  execFileSync('tar', ['-xzf', join(folder, filename), '-C', target, '--strip-components=1']);
  for (const dependency of dependencies) {
    mkdirSync(join(folder, 'node_modules', dependency, '..'), { recursive: true });
    symlinkSync(join(modules, dependency), join(folder, 'node_modules', dependency));
  }
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  /** What the program writes, as JSON. */
  const run = async (code) => {
    writeFileSync(join(folder, 'main.js'), code);
    const arguments_ = ['--preserve-symlinks', 'main.js'];
    const { stdout } = await promisify(execFile)(process.execPath, arguments_, { cwd: folder, timeout: 60_000 });
    return JSON.parse(stdout);
  };
  return { run, target, files: files.map(({ path }) => path) };
}

/** The blocks of JavaScript of the package's README. */
export function readmeExamples(target) {
  return [...readFileSync(join(target, 'README.md'), 'utf8').matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code);
}

/** Files that do not belong in a package. */
export function surplus(files) {
  return files.filter(
    (path) => !/\.(js|d\.ts)$|^package\.json$|^README\.md$|^LICENSE-/.test(path) || path.includes('test'),
  );
}
