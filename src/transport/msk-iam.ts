import { OutboxError } from '../message/errors.ts'
import { findOptional, loadOptional } from '../running/optional-package.ts'
import type { TimedToken } from './token.ts'

/** Login of AWS MSK by IAM: a token that Amazon's signer makes of the credentials that the AWS SDK finds. */
export interface MskIamLogin {
  mechanism: 'aws-msk-iam'
  /** Region of the cluster: `eu-central-1`. */
  region: string
}

/** Amazon's signer, an optional peer dependency. */
const name = 'aws-msk-iam-sasl-signer-js'

/** Throws OUTBOX_TRANSPORT_PACKAGE if the signer is not installed. Loads nothing of it. */
export function checkSigner(resolve: (name: string) => string = findOptional): void {
  try {
    resolve(name)
  } catch (cause) {
    const what = `The login aws-msk-iam needs the package ${name}, which is not installed.`
    throw new OutboxError('TRANSPORT_PACKAGE', what, { field: 'sasl', remedy: `Run "npm install ${name}".`, cause })
  }
}

/** Signs a token for the region. Loads the signer when it is called. */
export async function signedToken(region: string): Promise<TimedToken> {
  const { generateAuthToken } = await loadOptional<typeof import('aws-msk-iam-sasl-signer-js')>(name)
  const { token, expiryTime } = await generateAuthToken({ region })
  return { value: token, expiresAtMs: expiryTime }
}
