import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { openNewcomers, openRefusals } from '../../src/daemon/newcomers.ts'
import { openConnection } from '../../src/executor/connection.ts'
import { encodeFrame, type Frame } from '../../src/executor/frame.ts'
import { atEnd } from '../rig/teardown.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

/** Both ends of a connection. */
async function pair(): Promise<{ ours: Socket; theirs: Socket }> {
  const path = join(tempDir('pair'), 's')
  return await new Promise((resolve) => {
    const server = createServer((ours) => {
      server.close()
      atEnd(() => ours.destroy())
      resolve({ ours, theirs })
    })
    let theirs: Socket
    server.listen(path, () => {
      theirs = connect(path)
      theirs.on('error', () => undefined)
    })
  })
}

spec('connections before hello', (it) => {
  it('when there are too many the oldest goes, and who has said hello does not count', () => {
    const newcomers = openNewcomers({ count: 3, bytes: 100 })
    const gone: string[] = []
    const enter = (name: string) => newcomers.enter(() => gone.push(name))
    enter('a')
    const b = enter('b')
    enter('c')
    b.leave()
    b.leave()
    enter('d')
    assert.equal(gone, [])
    enter('e')
    enter('f')
    assert.equal(gone, ['a', 'c'])
    assert.is(newcomers.count, 3)
  })

  it('when they hold too much the oldest that holds something goes, until the rest fits', () => {
    const newcomers = openNewcomers({ count: 10, bytes: 100 })
    const gone: string[] = []
    const enter = (name: string) => newcomers.enter(() => gone.push(name))
    enter('silent')
    const [a, b, c] = [enter('a'), enter('b'), enter('c')]
    a.holds(40)
    a.holds(50)
    b.holds(50)
    assert.equal(gone, [])
    c.holds(60)
    assert.equal(gone, ['a', 'b'])
    a.leave()
    b.holds(99)
    c.holds(100)
    assert.equal(gone, ['a', 'b'])
    c.leave()
    enter('d').holds(100)
    assert.equal(gone, ['a', 'b'])
    assert.is(newcomers.count, 2)
  })

  it('peers that were sent away are reported at most every ten seconds, with the number of the others', () => {
    const told: string[] = []
    let nowMs = 1000
    const refused = openRefusals(
      (reason, others) => told.push(`${reason} ${others}`),
      () => nowMs,
    )
    for (const reason of ['a', 'b', 'c']) refused(reason)
    nowMs += 9999
    refused('d')
    nowMs += 1
    refused('e')
    nowMs += 10_000
    refused('f')
    assert.equal(told, ['a 0', 'e 3', 'f 0'])
  })

  it('a frame in pieces takes at most twice its bytes, and is whole in the end', async () => {
    const { ours, theirs } = await pair()
    const held: number[] = []
    const first = encodeFrame(1, ['x'.repeat(100_000)])
    const bytes = Buffer.concat([first, encodeFrame(2, ['y']), encodeFrame(3, ['z'.repeat(5000)])])
    const frames = await new Promise<Frame[]>((resolve, reject) => {
      const seen: Frame[] = []
      openConnection(ours, {
        frame(frame) {
          seen.push(frame)
          if (seen.length === 3) resolve(seen)
        },
        closed: (error) => reject(error ?? new Error('closed')),
        holds: (size) => held.push(size),
      })
      // So that each piece comes by itself.
      for (let at = 0; at < bytes.length; at += 777) ours.emit('data', bytes.subarray(at, at + 777))
    })
    assert.equal(
      frames.map(({ kind, fields }) => `${kind} ${fields[0]?.length}`),
      ['1 100000', '2 1', '3 5000'],
    )
    assert.is(frames[0]?.fields[0]?.toString(), 'x'.repeat(100_000))
    assert.is(frames[2]?.fields[0]?.toString(), 'z'.repeat(5000))
    assert.ok(Math.max(...held) <= 2 * first.length, `${held}`)
    assert.is(held.at(-1), 0)
    theirs.destroy()
  })
})
