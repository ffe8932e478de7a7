// The check with which a relay starts, and its part for operators. Keeps rule 16 of docs/protocol.md.

import { OutboxError } from '../../message/errors.ts'
import { type TableSet, tablesOf } from '../../message/tables.ts'
import { type CatalogFacts, factStatements, type IdFacts, type LeaseFacts, type TableFacts } from './facts.ts'
import type { Line } from './line.ts'
import { otherOutboxesLimits, presentOutboxes } from './other-outboxes.ts'
import {
  activeRowSecurity,
  chooseTables,
  missingColumns,
  missingRights,
  missingTables,
  type Refusal,
  refusalError,
  sequenceBehind,
  unfitSequence,
  unknownFormat,
} from './refusals.ts'

/** What the check learned about the tables. */
export interface Catalog {
  /** Quoted name of the sequence of outbox.id. */
  sequence: string
  /** Why a relay that has not served yet would be refused. */
  behind?: OutboxError | undefined
}

/** Refuses a database on which the relay would lose, repeat or never see rows. `served`: a sequence that is behind is no refusal. */
export async function checkDatabase(line: Line, set: TableSet, served: boolean): Promise<Catalog> {
  const tables = tablesOf(set.schema, set.prefix)
  const sql = factStatements(tables)
  const [catalog] = await line.rows<CatalogFacts>(sql.catalog())
  const { tables: found, sequence } = catalog!
  refuseReadOnly(catalog!)
  await refuseMissing(line, set, found)
  refuse(missingRights(found))
  refuse(activeRowSecurity(found))
  const [leases] = await line.rows<LeaseFacts>(sql.leases())
  refuse(unknownFormat(leases!.format))
  refuse(unfitSequence(sequence))
  const { name } = sequence!
  const [ids] = await line.rows<IdFacts>(sql.ids(name))
  const behind = sequenceBehind(tables, name, ids!)
  if (!served) refuse(behind)
  return { sequence: name, behind: behind && refusalError(behind) }
}

/** Refuses a database without our tables. Throws TABLES_MISSING. */
export async function refuseMissingTables(line: Line, set: TableSet): Promise<void> {
  const [catalog] = await line.rows<CatalogFacts>(factStatements(tablesOf(set.schema, set.prefix)).catalog())
  await refuseMissing(line, set, catalog!.tables)
}

/** A set of tables that is not there may have another name: those that are there are named. */
async function refuseMissing(line: Line, set: TableSet, found: readonly TableFacts[]): Promise<void> {
  const missing = missingTables(set, found)
  if (missing) {
    const sql = presentOutboxes(tablesOf(set.schema, set.prefix))
    const present = await line.rows<TableSet>(sql, otherOutboxesLimits).catch(() => [])
    refuse(present.length === 0 ? missing : { ...missing, fix: chooseTables(present, set) })
  }
  refuse(missingColumns(found, set))
}

function refuse(refusal: Refusal | undefined): void {
  if (refusal) throw refusalError(refusal)
}

function refuseReadOnly({ replica, readOnly }: CatalogFacts): void {
  if (!replica && !readOnly) return
  throw new OutboxError('READ_ONLY_DATABASE', 'DATABASE_URL leads to a read-only database.', {
    remedy: 'Point it at the primary: a replica shows commits in another order, and takes no leases.',
  })
}
