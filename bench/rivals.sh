#!/usr/bin/env bash
# Builds a relay of others from its public source, to be measured beside this one:
#   bench/rivals.sh FOLDER https://github.com/SametGoktepe/eventferry [COMMIT]
#   RIVALS=FOLDER npm run bench -- drain --rival eventferry
set -euo pipefail
into=$1; eventferry=$2
# core 3.4.0, postgres 3.3.2, kafka 3.5.0: the versions of docs/benchmarks.md.
commit=${3:-cd65266}
mkdir -p "$into" && cd "$into"
[ -f package.json ] || echo '{"name":"rivals","private":true,"type":"module"}' > package.json
npm install --no-audit --no-fund --silent esbuild kafkajs@2.2.4 pg@8.16.3
[ -d src/eventferry ] || git clone --quiet "$eventferry" src/eventferry
git -C src/eventferry checkout --quiet "$commit"
for part in core postgres kafka; do
  package="node_modules/@eventferry/$part"
  mkdir -p "$package"
  npx esbuild "src/eventferry/packages/$part/src/index.ts" --bundle --platform=node --format=esm --packages=external --log-level=error \
    --outfile="$package/index.js"
  printf '{"name":"@eventferry/%s","type":"module","exports":"./index.js"}\n' "$part" > "$package/package.json"
done
cat > eventferry-schema.js <<'PROGRAM'
import { createMigrationSql, createNotifyTriggerSql } from '@eventferry/postgres'
console.log(`${createMigrationSql('outbox')};\n${createNotifyTriggerSql('outbox', 'outbox')}`)
PROGRAM
node eventferry-schema.js > eventferry.sql
git -C src/eventferry log -1 --format='eventferry %h %cs'
