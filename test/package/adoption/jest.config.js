const project = (displayName, transform) => ({
  displayName,
  testEnvironment: 'node',
  testMatch: ['<rootDir>/spec/**/*.spec.ts'],
  transform: { '^.+\\.[tj]s$': transform },
})
module.exports = {
  projects: [
    project('ts-jest', ['ts-jest', { tsconfig: 'tsconfig.nestjs-10.json' }]),
    project('@swc/jest', '@swc/jest'),
    project('babel-jest', [
      'babel-jest',
      { presets: [['@babel/preset-env', { targets: { node: 'current' } }], '@babel/preset-typescript'] },
    ]),
  ],
}
