import { charge, release, type Ledger } from '../../../machines/charge.ts';
import { decide } from '../../../machines/decision.ts';
import { findCapability, type SessionContext } from '../../../machines/session-context.ts';
import type { Capability } from '../../../machines/capability.ts';
import { coveredBy, seeSession } from '../../../src/gateway/authorise.ts';
import { needOf } from '../../../src/gateway/command-handlers.ts';
import type { Identity } from '../../../src/gateway/principals.ts';
import noop from '../commands/noop.ts';
import { createGateStage } from '../gate-stage.ts';
import { print } from '../summary.ts';
import { microseconds } from '../timing.ts';

/**
 * What authority costs, piece by piece, by the functions that the gateway and the session's actor call: who asks (step 1 of
 * the contract's decision), sight and capabilities (2 and 4), limits (8), and the check of each delivery.
 */
const MINUTE_MS = 60_000;
const MINUTES = 60;
/** A session holds no more. */
const FULL = 100;

const stage = await createGateStage();
const { system, facts, calls, principals, principalLimits, address, session_id, owner, client, guest } = stage;
const need = needOf(noop.facts);

const held = (identity: Identity): readonly Capability[] => {
  if (identity.kind !== 'client') throw new Error('clients only');
  return identity.client.capabilities;
};
const [first] = held(guest.identity);
if (first?.depth !== 3 || first.constraints.expires_at === undefined) throw new Error('the guest is not of depth 3');

/** Sight and step 4, as `calls` and the handler of `commands.execute` have them decided. */
const decision = (identity: Identity) => async (): Promise<boolean> => {
  const authority = await seeSession(facts, identity, session_id);
  return authority !== null && coveredBy(identity, authority, need, system.now()).ok;
};
const dryRun = { session_id, command: 'noop', args: {}, dry_run: true };

/** Charging and releasing in a session where the last 60 minutes were all used, at the last of them. */
const chargeOf = (context: SessionContext, identity: Identity) => {
  const find = (id: string): Capability | undefined => findCapability(context, id);
  const at = system.now();
  const candidates = decide(held(identity), need, at);
  if (!candidates.allowed) throw new Error(candidates.reason);
  let { ledger }: { ledger: Ledger } = context;
  for (let minute = MINUTES; minute >= 0; minute--) {
    const charged = charge(ledger, candidates.covering, find, at - minute * MINUTE_MS);
    if (!charged.ok) throw new Error(charged.problem.detail);
    ledger = release(charged.ledger, charged.charged);
  }
  const windows = Object.values(ledger.meters).map(({ window }) => window.length);
  if (Math.max(...windows) <= MINUTES) throw new Error('the window is not full');
  return {
    once: (): Ledger => {
      const charged = charge(ledger, candidates.covering, find, at);
      if (!charged.ok) throw new Error(charged.problem.detail);
      return release(charged.ledger, charged.charged);
    },
    /** The session's snapshot carries it in each turn. */
    written: (): string => JSON.stringify(ledger),
  };
};
const context = await stage.sessionContext();
const ofClient = chargeOf(context, client.identity);
const ofGuest = chargeOf(context, guest.identity);

const use = { principal: 'owner', command: 'noop', type: 'cli', repeatKey: null } as const;
const mqttClient = await stage.mqttDelivery(client);
const mqttGuest = await stage.mqttDelivery(guest);
const sseClient = await stage.sseDelivery(client);
const sseGuest = await stage.sseDelivery(guest);
const sseKey = await stage.sseDelivery(owner);
const events = await stage.eventsOfExecution();
for (const allowed of [
  await decision(owner.identity)(),
  await decision(guest.identity)(),
  (await calls.call('commands.execute', dryRun, client.source)).ok,
  mqttClient(),
  mqttGuest(),
])
  if (!allowed) throw new Error('what is measured as allowed is refused');

const allowed = await microseconds({
  authenticateKey: () => principals.authenticate(owner.token, address),
  authenticateClient: () => principals.authenticate(client.token, address),
  authenticateGuest: () => principals.authenticate(guest.token, address),
  decisionKey: decision(owner.identity),
  decisionClient: decision(client.identity),
  decisionGuest: decision(guest.identity),
  dryRunClient: () => calls.call('commands.execute', dryRun, client.source),
  principalLimit: async () => {
    const consumed = await principalLimits.consume(use);
    if (!consumed.ok) throw new Error(consumed.problem.detail);
    consumed.accepted();
  },
  actorDecisionClient: () => decide(held(client.identity), need, system.now()),
  actorDecisionGuest: () => decide(held(guest.identity), need, system.now()),
  chargeClient: ofClient.once,
  chargeGuest: ofGuest.once,
  writtenClient: ofClient.written,
  writtenGuest: ofGuest.written,
  mqttClient,
  mqttGuest,
  sseClient: sseClient.deliver,
  sseGuest: sseGuest.deliver,
  sseKey: sseKey.deliver,
});
if (sseClient.taken() !== sseKey.taken()) throw new Error('the streams did not take alike');

// Others come until there is no room: what looks for an ancestor looks among all that are held.
while (Object.keys((await stage.sessionContext()).clients).length < FULL) await stage.guestOf(owner);
const full = await microseconds({ chargeGuest: chargeOf(await stage.sessionContext(), guest.identity).once });

// The guest's time is over, and nobody has been told yet.
system.advance(2 * 86_400_000);
const takenBefore = sseGuest.taken();
if (mqttGuest()) throw new Error('what is measured as refused is allowed');
const refused = await microseconds({ mqttGuest, sseGuest: sseGuest.deliver, decisionGuest: decision(guest.identity) });
if (sseGuest.taken() !== takenBefore) throw new Error('what is measured as refused was written');

/**
 * All of it for one execution that is accepted and ends, with one subscriber over MQTT: the actor decides again what the
 * gateway decided, and the ledger is written with the turn that accepts and the one that ends.
 */
const perExecution = (authenticate: number, gateway: number, actor: number, charging: number, written: number) =>
  authenticate + gateway + allowed.principalLimit + actor + charging + 2 * written;
print({
  'authenticate, API key µs': allowed.authenticateKey,
  'authenticate, client µs': allowed.authenticateClient,
  'decision, API key µs': allowed.decisionKey,
  'decision, client µs': allowed.decisionClient,
  'decision, guest of depth 3 µs': allowed.decisionGuest,
  'decision, guest of depth 3, refused µs': refused.decisionGuest,
  'dry run, client µs': allowed.dryRunClient,
  'limit of the principal µs': allowed.principalLimit,
  'decision in the actor, client µs': allowed.actorDecisionClient,
  'charge and release, depth 1 µs': allowed.chargeClient,
  'charge and release, depth 3 µs': allowed.chargeGuest,
  'charge and release, depth 3, full session µs': full.chargeGuest,
  'ledger as JSON, depth 1 µs': allowed.writtenClient,
  'ledger as JSON, depth 3 µs': allowed.writtenGuest,
  'delivery over MQTT, client µs': allowed.mqttClient,
  'delivery over MQTT, guest of depth 3 µs': allowed.mqttGuest,
  'delivery over MQTT, refused µs': refused.mqttGuest,
  'delivery over SSE, client µs': allowed.sseClient - allowed.sseKey,
  'delivery over SSE, guest of depth 3 µs': allowed.sseGuest - allowed.sseKey,
  'delivery over SSE, refused µs': refused.sseGuest,
  'per execution, client µs':
    perExecution(
      allowed.authenticateClient,
      allowed.decisionClient,
      allowed.actorDecisionClient,
      allowed.chargeClient,
      allowed.writtenClient,
    ) +
    events * allowed.mqttClient,
  'per execution, guest of depth 3 µs':
    perExecution(
      allowed.authenticateGuest,
      allowed.decisionGuest,
      allowed.actorDecisionGuest,
      allowed.chargeGuest,
      allowed.writtenGuest,
    ) +
    events * allowed.mqttGuest,
});
process.exit(0);
