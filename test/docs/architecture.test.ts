import { globSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { decodeExec, FrameKind } from '../../src/executor/frame.ts'
import { MessageKind } from '../../src/executor/protocol.ts'
import { decodeJournal, encodeHeader, encodeRecord, JOURNAL_VERSION } from '../../src/journal/format.ts'
import { toJournalRecord } from '../../src/journal/record.ts'
import { spec } from '../spec.ts'
import { codeOf, fencedBlocks, ROOT, readDocument, tableRows } from './markdown.ts'

const text = readDocument('docs/architecture.md')

spec('docs/architecture.md', (it) => {
  it('has a row for every room of src and no other', () => {
    const rooms = globSync('src/*/', { cwd: ROOT }).map((path) => `${path.replace(/\/$/, '')}/`)
    const described = tableRows(text, 'Room').map(({ Room }) => codeOf(Room))
    assert.equal(described.sort(), rooms.sort())
  })

  it('has a row for every kind of frame with its number', () => {
    const described = tableRows(text, 'Kind').map(({ Kind, Name }) => [codeOf(Name), Number(Kind)])
    assert.equal(Object.fromEntries(described), { ...FrameKind })
  })

  it('has a row for every message of the protocol with its number', () => {
    const described = tableRows(text, 'Message').map((row) => [codeOf(row.Message), Number(row.Number)])
    assert.equal(Object.fromEntries(described), { ...MessageKind })
  })

  it('has a row for every file of the shim and no other, with a sentence', () => {
    const files = globSync('native/*.c', { cwd: ROOT }).map((path) => path.replace('native/', ''))
    const described = tableRows(text, 'File')
    const program = files.filter((file) => file !== 'fuzz.c')
    assert.equal(described.map(({ File }) => codeOf(File)).sort(), program.sort())
    for (const row of described) assert.match(row['What it does'] ?? '', /\.$/)
  })

  it('says of every verb what the shim does without a daemon', () => {
    const verbs = tableRows(text, 'Verb').map(({ Verb }) => Verb)
    assert.equal(verbs, ['ADD', 'DEL', 'CHECK', 'STATUS', 'GC', 'VERSION'])
  })

  it('the bytes of its example are a journal, and are what the journal writes', () => {
    const dump = fencedBlocks(text).find(({ language }) => language === 'hex')?.text ?? ''
    const digits = dump.split('\n').map((line) => line.split('  ')[0]?.replaceAll(' ', '') ?? '')
    const bytes = Buffer.from(digits.join(''), 'hex')
    const decoded = decodeJournal(bytes)
    if (decoded.state !== 'intact') throw new Error(`the example is ${decoded.state}`)
    assert.is(bytes.readUInt32BE(4), JOURNAL_VERSION)
    const { frames } = decoded
    assert.equal(
      frames.map(({ kind }) => kind),
      [FrameKind.planned, FrameKind.exec, FrameKind.started],
    )
    const again = frames.map(({ kind, fields }) => encodeRecord(kind, fields))
    assert.ok(Buffer.concat([encodeHeader(), ...again]).equals(bytes))
    assert.is(decodeExec(frames[1]?.fields ?? [])?.timeoutMs, 60_000)
    assert.ok(toJournalRecord(frames, false).calls[0]?.isStarted)
  })
})
