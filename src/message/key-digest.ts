import { hash } from 'node:crypto'

/** Bytes of a {@link keyDigest}. */
export const digestBytes = 16

/**
 * Name of a topic and key, in 16 bytes as a text of 16 characters: the first half of the SHA-256 of topic, line feed and key. A relay may know a
 * million blocked keys, and a key may have megabytes. SQL makes the same (`blockedKeys` of the statements).
 */
export function keyDigest(topic: string, key: Uint8Array): string {
  const digest = hash('sha256', Buffer.concat([Buffer.from(`${topic}\n`), key]), 'buffer')
  return digest.toString('latin1', 0, digestBytes)
}
