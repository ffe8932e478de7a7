import type { Discarded, FreedKey, Lease, Moved, Redriven, Refusal, RowName } from '../../../src/store/store.ts'
import { type Database, type DeadRow, keyOf, nameOf } from './database.ts'

/** Rows that one redrive moves at most: few, so that keys come back in portions. */
const portionRows = 4

const fenced = (db: Database, owner: string, { bucket, epoch }: Lease): boolean => !db.mine(bucket, owner, epoch)

const inOrder = (a: DeadRow, b: DeadRow): number => a.row.id - b.row.id || (a.row.messageId < b.row.messageId ? -1 : 1)

/** The statements of outbox_dead_letter, each in one moment; compare store/postgres/dead-statements.ts. */
export function deadLetter(db: Database, owner: string, lease: Lease, name: RowName, why: Refusal): Moved {
  if (fenced(db, owner, lease)) return { fenced: true, ids: standing(db, name) }
  const row = db.outbox.get(nameOf(name))
  if (row?.messageId === name.messageId) {
    db.outbox.delete(nameOf(row))
    db.dead.push({ row, reason: why.reason, blocksKey: why.blocksKey, action: null })
  }
  return { fenced: false, ids: standing(db, name) }
}

const standing = (db: Database, name: RowName): number[] =>
  db.dead.flatMap(({ row }) => (row.messageId === name.messageId && row.id === name.id ? [row.id] : []))

export function moveBlocked(db: Database, owner: string, lease: Lease, rows: readonly (RowName & { head: number })[]): Moved {
  if (fenced(db, owner, lease)) return { fenced: true, ids: [] }
  // All rows of one statement see the heads as they were before it.
  const heads = db.dead.filter((dead) => db.isHead(dead))
  const ids: number[] = []
  for (const { id, messageId, head } of rows) {
    const row = db.outbox.get(nameOf({ bucket: lease.bucket, id }))
    if (row?.messageId !== messageId || head >= id) continue
    if (!heads.some((dead) => dead.row.bucket === row.bucket && dead.row.id === head && keyOf(dead.row) === keyOf(row))) continue
    db.outbox.delete(nameOf(row))
    db.dead.push({ row, reason: null, blocksKey: true, action: null })
    ids.push(id)
  }
  return { fenced: false, ids }
}

export function redrive(db: Database, owner: string, lease: Lease, most: { asked: number; rows: number }): Redriven {
  const { asked } = most
  const grantRows = Math.min(portionRows, most.rows)
  const nothing: Redriven = { fenced: false, topics: [], keys: [], tooMany: false, clashes: [] }
  if (fenced(db, owner, lease)) return { ...nothing, fenced: true }
  const own = db.dead.filter((dead) => dead.row.bucket === lease.bucket).sort(inOrder)
  const requests = own.filter((dead) => dead.action === 'redrive').slice(0, asked)
  const keys = new Set(requests.filter(db.isHead).map((dead) => keyOf(dead.row)))
  const line = own
    .filter((dead) => (db.isHead(dead) ? keys.has(keyOf(dead.row)) : requests.includes(dead)))
    .slice(0, grantRows + 1)
  const cut = line.length > grantRows
  const clashes = line.filter((dead) => db.outbox.has(nameOf(dead.row)))
  const clashing = new Set(clashes.map((dead) => keyOf(dead.row)))
  const stays = (dead: DeadRow) => (db.isHead(dead) ? clashing.has(keyOf(dead.row)) : clashes.includes(dead))
  const gone = cut && asked > 1 ? [] : line.slice(0, grantRows).filter((dead) => !stays(dead))
  for (const dead of gone) {
    db.dead.splice(db.dead.indexOf(dead), 1)
    db.outbox.set(nameOf(dead.row), dead.row)
  }
  const next = cut && gone.length > 0 ? line[grantRows]! : undefined
  if (next) next.action = 'redrive'
  const held = new Map(gone.filter(db.isHead).map((dead) => [keyOf(dead.row), dead.row]))
  const topics = [...new Set(gone.map((dead) => dead.row.topic))].map((topic) => {
    const ids = gone.filter((dead) => dead.row.topic === topic).map((dead) => dead.row.id)
    return { topic, rows: ids.length, keys: held.size, firstId: Math.min(...ids), lastId: Math.max(...ids), by: null }
  })
  return {
    fenced: false,
    topics,
    keys: [...held.values()].map(({ topic, key }): FreedKey => ({ topic, key: key!, next: next?.row.id ?? null })),
    tooMany: cut && asked > 1,
    clashes: [...new Set(clashes.map((dead) => dead.row.topic))],
  }
}

export function discard(db: Database, owner: string, lease: Lease): Discarded {
  if (fenced(db, owner, lease)) return { fenced: true, rows: [], keys: [] }
  const gone = db.dead.filter((dead) => dead.row.bucket === lease.bucket && dead.action === 'discard').sort(inOrder)
  for (const dead of gone) db.dead.splice(db.dead.indexOf(dead), 1)
  const keys: FreedKey[] = []
  for (const name of new Set(gone.filter(db.isHead).map((dead) => keyOf(dead.row)))) {
    const first = gone.find((dead) => keyOf(dead.row) === name)!.row
    const head = db.dead.filter((dead) => keyOf(dead.row) === name && db.isHead(dead)).sort(inOrder)[0]
    if (head && head.row.id > first.id) head.action ??= 'redrive'
    keys.push({ topic: first.topic, key: first.key!, next: head?.row.id ?? null })
  }
  return {
    fenced: false,
    rows: gone.map(({ row }) => ({ id: row.id, messageId: row.messageId, topic: row.topic, by: null })),
    keys,
  }
}
