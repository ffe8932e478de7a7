/** Channel on which applications wake relays after a commit (LISTEN/NOTIFY). Only a hint: nothing depends on a notification. */
export const wakeChannel = 'outbox_wake'
