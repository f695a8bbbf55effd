import type { KeyStore } from '../../actors/journal.ts';
import type { System } from '../../actors/system.ts';
import type { ClientType, Grant } from '../../machines/capability.ts';
import type { Command } from '../../machines/command.ts';
import type { Audit } from './audit.ts';
import type { Cuts } from './cuts.ts';
import type { Facts } from './facts.ts';
import type { GatewayLimits } from './limits.ts';
import type { Presence } from './presence.ts';
import type { WebhookParts } from './webhook-parts.ts';
import type { PrincipalLimits } from './principal-limits.ts';
import type { Refusals } from './refusals.ts';
import type { Slots } from './slots.ts';
import type { Waits } from './waits.ts';

/** What the handlers of operations work with. */
export interface GatewayContext {
  readonly system: System;
  readonly facts: Facts;
  readonly waits: Waits;
  readonly slots: Slots;
  readonly cuts: Cuts;
  readonly presence: Presence;
  readonly commands: ReadonlyMap<string, Command>;
  /** What each type of client is granted. */
  readonly grants: Readonly<Record<ClientType, readonly Grant[]>>;
  readonly limits: GatewayLimits;
  readonly principalLimits: PrincipalLimits;
  readonly keys: KeyStore;
  readonly audit: Pick<Audit, 'note' | 'merge'>;
  readonly refusals: Pick<Refusals, 'note'>;
  readonly webhooks: WebhookParts;
  /** Holds `artifacts/<execution>/<name>`; absolute. */
  readonly dataDirectory: string;
}
