/**
 * Characters of the turn that accepts and starts a no-op execution, with its session's snapshot, of one client, and two
 * events: by how much `arbor_log_characters_total` grows.
 */
export const ACCEPT_BYTES = 3_700;
