/** Bytes of the turn that accepts and starts a no-op execution, with its session's snapshot and two events. */
export const ACCEPT_BYTES = 2_600;
