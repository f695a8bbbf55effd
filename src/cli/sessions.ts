import { createHttpClient } from '../client/index.ts';
import { EXIT } from './errors.ts';
import { allItems } from './pages.ts';
import { renderTable } from './render.ts';
import type { Settings } from './settings.ts';

/** `arbor sessions`: lists the caller's sessions. Resolves with the exit code. */
export const listSessions = async (
  settings: Settings,
  flags: { readonly json?: boolean; readonly all?: boolean },
): Promise<number> => {
  const client = createHttpClient(settings);
  const sessions = (await allItems((page) => client.sessions.list(page))).filter(
    ({ status }) => flags.all || (status !== 'closed' && status !== 'expired'),
  );
  if (flags.json) process.stdout.write(`${JSON.stringify(sessions)}\n`);
  else if (sessions.length === 0) process.stderr.write(`no ${flags.all ? '' : 'open '}sessions\n`);
  else
    process.stdout.write(
      `${renderTable(
        sessions.map((session) => ({ ...session })),
        ['session_id', 'status', 'owner', 'created_at'],
      )}\n`,
    );
  return EXIT.ok;
};
