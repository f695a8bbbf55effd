import type { BusListener } from './bus.ts';

/** What a CONNECT says, before anything is believed. */
export interface ConnectFacts {
  readonly clientId: string;
  readonly username: string | undefined;
  readonly password: Buffer | undefined;
  readonly will: { readonly topic: string; readonly qos: 0 | 1 | 2; readonly retain: boolean } | undefined;
  /** Where the connection comes from, for limits and logs: an address, or what the transport calls itself. */
  readonly remote: string;
}

/** CONNACK's return codes that a policy may give (MQTT 3.1.1, table 3.1). */
export type Refusal = 2 | 3 | 4 | 5;

export type ConnectVerdict<Tag> =
  | { readonly ok: true; readonly tag: Tag }
  | { readonly ok: false; readonly code: Refusal };

/** A client that has logged in. The same object in every call of the policy, from `connected` to `disconnected`. */
export interface Connection<Tag = unknown> {
  readonly clientId: string;
  readonly username: string | undefined;
  readonly remote: string;
  /** What the policy knows about it. */
  readonly tag: Tag;
}

export interface PublishFacts {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly payload: Uint8Array;
}

/** `ignore` acknowledges and drops; `disconnect` closes the connection: the two that [MQTT-3.3.5-2] leaves. */
export type PublishVerdict = 'allow' | 'ignore' | 'disconnect';

/** A publication for one client alone, sent with the retain flag. */
export interface InitialPublication {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly qos?: 0 | 1;
}

/**
 * Who may do what over the network. Every method but `connect`, `subscribe` and `initial` is called on the hot path and
 * answers at once. A method that throws is reported and counts as a refusal. `$share/` is refused whatever the policy says: it is
 * no part of MQTT 3.1.1.
 */
export interface AccessPolicy<Tag = unknown> {
  /**
   * Whether anything outlives a connection: sessions, wills, retained publications. Where false every session is
   * clean, and a will, a retained publication and a filter of `$SYS` are refused.
   */
  readonly persistence: boolean;
  /** Must answer within `connectTimeoutMs`, else the client hears that the server is unavailable. */
  connect(facts: ConnectFacts): Promise<ConnectVerdict<Tag>> | ConnectVerdict<Tag>;
  publish(client: Connection<Tag>, packet: PublishFacts): PublishVerdict;
  /** Hears of each allowed publication of a client, in the order in which the bus carries them. */
  onPublish?(client: Connection<Tag>, ...publication: Parameters<BusListener>): void;
  /** False answers this filter with 0x80, and so does a promise that says nothing within `connectTimeoutMs`. */
  subscribe(client: Connection<Tag>, filter: string): boolean | Promise<boolean>;
  /** The check of each single delivery. */
  deliver(client: Connection<Tag>, topic: string): boolean;
  connected?(client: Connection<Tag>): void;
  disconnected?(client: Connection<Tag>): void;
  /** What a client is told first on a filter that was just granted. */
  initial?(client: Connection<Tag>, filter: string): Promise<readonly InitialPublication[]>;
}

/** Anyone may do everything that MQTT 3.1.1 offers, except write where the server speaks of itself. */
export const openPolicy: AccessPolicy<null> = Object.freeze({
  persistence: true,
  connect: () => ({ ok: true, tag: null }) as const,
  publish: (_client, packet) => (packet.topic.startsWith('$SYS/') ? 'ignore' : 'allow'),
  subscribe: () => true,
  deliver: () => true,
} satisfies AccessPolicy<null>);
