/**
 * What every schema library with the Standard Schema interface offers (zod 4, valibot, arktype and others). A copy of the specification's
 * types, version 1.1: the application's side of this package depends on no package, not even for types.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    /** Only for the compiler; undefined when the program runs. */
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
    /** JSON Schemas of what is taken and of what is given; zod 4.2 and newer, arktype 2.2, valibot through `toStandardJsonSchema`. */
    readonly jsonSchema?: SchemaConverter | undefined
  }
}

/** Makes JSON Schemas of a schema's two sides. Both throw for what JSON Schema cannot say. */
export interface SchemaConverter {
  readonly input: (options: { readonly target: 'draft-2020-12' }) => Record<string, unknown>
  readonly output: (options: { readonly target: 'draft-2020-12' }) => Record<string, unknown>
}

/** The value as the schema gives it, or why it is refused. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

/** One thing that is wrong with a value. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** What may be given to a schema: fields with a default may be left out. */
export type InputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['input']

/** What a schema makes of it. */
export type OutputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output']

/** Whether the value is a schema. */
export function isStandardSchema(value: unknown): value is StandardSchema {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  const standard = (value as Partial<StandardSchema>)['~standard']
  return standard?.version === 1 && typeof standard.validate === 'function'
}
