/** Version of this package. Written by build.mjs: a bundle has no package.json of ours to read it from. */
export const version: string = '0.1.0'
