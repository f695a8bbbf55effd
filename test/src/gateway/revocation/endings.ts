import * as assert from 'uvu/assert';
import { invite, joinBy, lapse, revokeShare, share, type Guest, type Stage } from './stage.ts';

/** The ways in which the right of a guest to hear of a session may end. */
export interface Ending {
  readonly invite: (stage: Stage) => Promise<Guest>;
  readonly end: (stage: Stage, guest: Guest) => Promise<void>;
  /** What it hears of it before it is cut. */
  readonly words: readonly string[];
  /** The event with which its turn ends, and how many of them that are. */
  readonly closes: readonly [type: string, times: number];
  /** Whether the share lets others in afterwards. */
  readonly opens?: boolean;
}

export const REVOKED = ['capability_revoked', 'client_left'];

export const ENDINGS: Readonly<Record<string, Ending>> = {
  'its share is revoked': {
    invite,
    end: (stage, guest) => revokeShare(stage, guest.share),
    words: REVOKED,
    closes: ['share_revoked', 1],
  },
  'its capability is revoked': {
    invite,
    end: async ({ on }, guest) =>
      assert.is((await on.call('DELETE', `/v1/capabilities/${guest.share.capability.id}`)).status, 200),
    words: REVOKED,
    closes: ['share_revoked', 1],
  },
  'what its share descends from is revoked': {
    invite: async (stage) => {
      const first = await invite(stage, { constraints: { may_share: true } });
      const second = await share(stage, { constraints: { may_share: true } }, first.client.client_token);
      const middle = await joinBy(stage, second.token);
      const third = await share(stage, {}, middle.client_token);
      return { share: { ...third, root: first.share.share_id }, client: await joinBy(stage, third.token) };
    },
    end: (stage, guest) => revokeShare(stage, { share_id: guest.share.root }),
    words: REVOKED,
    closes: ['share_revoked', 3],
  },
  'its time is over': {
    invite: (stage) => invite(stage, { constraints: { expires_in: 60 } }),
    end: async (stage) => lapse(stage, 60_000),
    words: REVOKED,
    closes: ['share_revoked', 1],
  },
  'it leaves': {
    invite,
    end: async ({ on, path }, { client }) => {
      const { status } = await on.call('DELETE', `${path}/clients/${client.client_id}`, { token: client.client_token });
      assert.is(status, 200);
    },
    words: ['client_left'],
    closes: ['client_left', 1],
    opens: true,
  },
  'it is made to leave': {
    invite,
    end: async ({ on, path }, { client }) =>
      assert.is((await on.call('DELETE', `${path}/clients/${client.client_id}`)).status, 200),
    words: ['client_left'],
    closes: ['client_left', 1],
    opens: true,
  },
};
