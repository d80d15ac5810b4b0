import * as assert from 'uvu/assert'
import { isOwnNetns, readNetnsId } from '../../src/executor/netns.ts'
import { createNetns } from '../rig/netns.ts'
import { spec } from '../spec.ts'

spec('identity of a network namespace', (it) => {
  it('stays the same for one and differs for the next under the same path', async () => {
    const first = await createNetns('identity')
    const id = readNetnsId(first.path)
    assert.match(id ?? '', /^\d+:\d+:\d+$/)
    assert.is(readNetnsId(first.path), id)
    const other = await createNetns('identity2')
    assert.is.not(readNetnsId(other.path), id)
  })

  it('a path that names nothing has none', () => {
    assert.is(readNetnsId(''), undefined)
    assert.is(readNetnsId('/run/netns/not-there'), undefined)
  })

  it('below /proc it is device and inode alone', () => {
    assert.match(readNetnsId('/proc/self/ns/net') ?? '', /^\d+:\d+$/)
  })

  it('CNI-012 the namespace that the plugin runs in is told from others', async () => {
    assert.is(isOwnNetns('/proc/self/ns/net'), true)
    assert.is(isOwnNetns('/proc/self/ns/ipc'), false)
    assert.is(isOwnNetns((await createNetns('own')).path), false)
    assert.is(isOwnNetns('/run/netns/not-there'), false)
  })
})
