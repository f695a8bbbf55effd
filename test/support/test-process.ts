import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createTally, tallyLine, type Ending, type Tally } from './tally.ts';

export interface TestProcessOptions {
  cwd: string;
  /** From the start to the kill. */
  limitMs: number;
  /** How long the process, and then its group, may take to go away once its tests are over. */
  lingerMs: number;
}

export interface TestProcessEnd {
  tally: Tally;
  ending: Ending;
  output: string;
  durationMs: number;
}

/** Characters of a file's output that are kept: its end, where uvu prints what failed. */
const OUTPUT_KEPT = 1_048_576;
/** For a killed group to be gone, and for its last output to come through the pipe. */
const DRAIN_MS = 1000;

/** Where code that was compiled is found again (Node's `NODE_COMPILE_CACHE`). */
const COMPILED = fileURLToPath(new URL('../../node_modules/.cache/compiled', import.meta.url));

const groups = new Set<number>();

const killGroup = (group: number): void => {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // The group is gone, which is what was wanted.
  }
};

/** Ends every test process that still runs, and all that it started. */
export const killTestProcesses = (): void => {
  for (const group of groups) killGroup(group);
};

/** Living members of a process group, by name; zombies are nobody's to wait for. */
const membersOf = (group: number): string[] => {
  try {
    process.kill(-group, 0);
  } catch {
    return [];
  }
  let pids: string[];
  try {
    pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return ['a process'];
  }
  return pids.flatMap((pid) => {
    try {
      // proc(5): pid (comm) state ppid pgrp …, and comm may hold anything.
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const close = stat.lastIndexOf(')');
      const [state, , pgrp] = stat.slice(close + 2).split(' ');
      return Number(pgrp) === group && state !== 'Z' && state !== 'X'
        ? [`${stat.slice(stat.indexOf('(') + 1, close)} (${pid})`]
        : [];
    } catch {
      return [];
    }
  });
};

const outlivers = async (group: number, lingerMs: number): Promise<string[]> => {
  const until = performance.now() + lingerMs;
  for (;;) {
    const members = membersOf(group);
    if (members.length === 0 || performance.now() >= until) return members;
    await wait(20);
  }
};

const byLine = (onLine: (line: string) => void): { take: (text: string) => void; end: () => void } => {
  let rest = '';
  return {
    take(text) {
      const lines = (rest + text).split('\n');
      rest = (lines.pop() ?? '').slice(-OUTPUT_KEPT);
      for (const line of lines) onLine(line);
    },
    end() {
      if (rest !== '') onLine(rest);
      rest = '';
    },
  };
};

const exitOf = async (child: ChildProcess): Promise<{ code: number | null; signal: string | null }> =>
  await new Promise((resolve) => {
    child.once('error', (error) => {
      child.stderr?.emit('data', `${error.message}\n`);
      resolve({ code: 127, signal: null });
    });
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });

/** Code that one test file has compiled, the others find. Coverage is more exact without it. */
const compiledCode = ({ NODE_COMPILE_CACHE: cache = COMPILED, ...env }: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  env['NODE_V8_COVERAGE'] === undefined ? { ...env, NODE_COMPILE_CACHE: cache } : env;

/**
 * Runs one test file in a process of its own, at the head of a new process group, so that whatever it starts can be
 * found and ended with it. Always ends: at the latest at `limitMs` plus what the group may linger.
 */
export const runTestProcess = async (file: string, options: TestProcessOptions): Promise<TestProcessEnd> => {
  const { cwd, limitMs, lingerMs } = options;
  const startedAt = performance.now();
  const tally = createTally();
  let output = '';
  let cause: Ending['cause'] = 'exited';
  let running = true;
  let lingering: NodeJS.Timeout | undefined;

  const child = spawn(process.execPath, [file], {
    cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...compiledCode(process.env), FORCE_COLOR: '0' },
  });
  const group = child.pid;
  const kill = (why: Ending['cause']): void => {
    cause = why;
    if (group !== undefined) killGroup(group);
  };
  const lines = byLine((line) => {
    const before = tally.summaries;
    tallyLine(tally, line);
    if (tally.summaries === before || !running) return;
    clearTimeout(lingering);
    lingering = setTimeout(() => kill('lingered'), lingerMs);
  });
  const keep = (text: string): void => {
    output = (output + text).slice(-OUTPUT_KEPT);
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    keep(text);
    lines.take(text);
  });
  child.stderr.setEncoding('utf8').on('data', keep);

  if (group !== undefined) groups.add(group);
  const limit = setTimeout(() => kill('limit'), limitMs);
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const { code, signal } = await exitOf(child);
  running = false;
  clearTimeout(limit);
  clearTimeout(lingering);
  const left = group === undefined || cause !== 'exited' ? [] : await outlivers(group, lingerMs);
  if (group !== undefined) {
    killGroup(group);
    await outlivers(group, DRAIN_MS);
  }
  const drained = new AbortController();
  await Promise.race([closed, wait(DRAIN_MS, undefined, { signal: drained.signal }).catch(() => undefined)]);
  drained.abort();
  lines.end();
  child.stdout.destroy();
  child.stderr.destroy();
  if (group !== undefined) groups.delete(group);
  const ending: Ending = { cause, code, signal, left, limitMs };
  return { tally, ending, output, durationMs: performance.now() - startedAt };
};
