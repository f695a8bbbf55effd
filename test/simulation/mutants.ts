/** A mistake that somebody could make: one place of one file, said otherwise. */
export interface Mutant {
  readonly name: string;
  /** From the root of the project. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const mutant = (name: string, file: string, find: string, replace: string): Mutant => ({ name, file, find, replace });

/** Each breaks a promise of the contract; the simulation has to notice (`npm run simulate -- --mutants`). */
export const MUTANTS: readonly Mutant[] = [
  mutant(
    'release before commit',
    'actors/journal-loop.ts',
    '      const verdicts = await journal.commit(turns.map(({ input }) => input.turn));',
    `      letOut(turns, 0);
      const verdicts = await journal.commit(turns.map(({ input }) => input.turn));`,
  ),
  mutant(
    'watermark not saved',
    'actors/memory-disk.ts',
    '  disk.read.set(shard, { ...disk.read.get(shard), ...head.read });',
    '',
  ),
  mutant('duplicates taken', 'actors/shard.ts', "  if (n < next) return 'dropped';", ''),
  mutant(
    'memory kept after a failed commit',
    'actors/shard-host.ts',
    'for (const resident of residents.values()) if (resident.shard === shard.index) forget(resident);',
    '',
  ),
  mutant(
    'zombies not fenced',
    'actors/journal-verdicts.ts',
    "if (head.epoch === 0 || epoch !== head.epoch) return 'fenced';",
    '',
  ),
  mutant(
    'turns of unknown outcome forgotten',
    'actors/journal-loop.ts',
    'doubtful.set(shard, [...(doubtful.get(shard) ?? []), turn]);',
    '',
  ),
  mutant(
    'timers begin anew over a restart',
    'actors/deadlines.ts',
    'for (const [key, at] of deadlines) if (!said.has(key)) timers.set(key, at);',
    'for (const [key, at] of deadlines) if (!said.has(key)) timers.set(key, at + 60_000);',
  ),
  mutant(
    'a finished step not recorded',
    'machines/execution-steps.ts',
    'recorded: record(context.recorded, message.step),',
    '',
  ),
  mutant('sleeping counts as time', 'machines/execution-context.ts', '+ timeout_ms + waited_ms', '+ timeout_ms'),
  mutant(
    'windows of deadlines not asked for',
    'actors/shard-host.ts',
    "if (page !== null) toJournal({ type: 'deadlines'",
    "if (page === undefined) toJournal({ type: 'deadlines'",
  ),
  mutant(
    'lost runs not asked for again',
    'actors/ring.ts',
    'for (const [key, waits] of claim.waits) resume(key, waits);',
    '',
  ),
  mutant('a retry of a terminal error', 'machines/execution-steps.ts', 'retryable && failures + 1 <', 'failures + 1 <'),
  mutant(
    'late results of an old start taken',
    'machines/execution.ts',
    '  of === context.starts;\n',
    '  of > 0 || context.starts < 0;\n',
  ),
  mutant('the deadline of whoever has it first', 'machines/execution.ts', '  guard: isExpired,', ''),
  mutant(
    'dedupe window dropped',
    'actors/memory-disk.ts',
    '    answers.push([key, remembered[index] as string, until]);',
    '',
  ),
  mutant('a limit read before it is charged', 'machines/charge.ts', 'used >= max_operations', 'used > max_operations'),
  mutant(
    'revocation of the parent alone',
    'machines/descent.ts',
    'if (parent_id !== null && ended.has(parent_id)) ended.add(child);',
    'void [child, parent_id];',
  ),
  mutant(
    'what runs goes on after its revocation',
    'machines/execution.ts',
    '[capability_id, ...charged].some((id) => capability_ids.includes(id))',
    'false',
  ),
  mutant(
    'nobody is cut',
    'actors/release.ts',
    'if (announced === null) return onCut(client_id);',
    'if (announced !== null || client_id) return undefined;',
  ),
  mutant('audit beside the turn', 'actors/turn.ts', 'audits.push(JSON.stringify(entry));', ''),
  mutant('reads ahead of what was let out', 'actors/heard.ts', 'await heard.caughtUp();', ''),
  mutant('a clock that begins at the wall', 'actors/clock.ts', 'Math.max(Date.now(), latest)', 'Date.now()'),
  mutant(
    'inputs that came too early forgotten',
    'actors/shard-host.ts',
    'for (const sender of earlySenders(shard)) {',
    'for (const sender of [] as string[]) {',
  ),
  mutant(
    'a charge is not given back',
    'machines/session-executions.ts',
    'ledger: release(context.ledger, charged)',
    'ledger: context.ledger',
  ),
  mutant(
    'a quorum short by one',
    'machines/question.ts',
    'votes.length - rejections >= rules.required_confirmations',
    'votes.length - rejections >= rules.required_confirmations - 1',
  ),
  mutant(
    'started without a yes',
    'machines/execution.ts',
    'guard: ({ event: { confirmation } }) => confirmation !== undefined,',
    'guard: () => false,',
  ),
  mutant(
    'lost attempts of webhooks not asked for again',
    'actors/ring.ts',
    'if (!deliveries.has(id, Number(value)))',
    'if (deliveries.has(id, Number(value)))',
  ),
  mutant(
    'of what an actor says at once a webhook hears the first',
    'actors/shard-turn.ts',
    'queue.splice((facts[index] as Told).place, 0, ...(follows[index] as Envelope[]));',
    'if (index === 0) queue.splice((facts[index] as Told).place, 0, ...(follows[index] as Envelope[]));',
  ),
];
