import * as assert from 'uvu/assert'
import { formatTable, indent } from '../../src/cli/table.ts'
import { spec } from '../spec.ts'

spec('table', (it) => {
  it('columns are as wide as their longest cell and lines end without blanks', () => {
    const text = formatTable(
      ['POD', 'INTERFACE', 'STATE'],
      [
        ['default/a-long-name', 'eth0', 'live'],
        ['x/y', 'net1', 'damaged'],
      ],
    )
    assert.is(
      text,
      [
        'POD                  INTERFACE  STATE',
        'default/a-long-name  eth0       live',
        'x/y                  net1       damaged',
        '',
      ].join('\n'),
    )
  })

  it('a cell with nothing to show is a dash, so that every line has every column', () => {
    assert.is(
      formatTable(['A', 'B', 'C'], [['', undefined, ' '], ['1']]),
      ['A  B  C', '-  -  -', '1  -  -', ''].join('\n'),
    )
  })

  it('a line break in a cell does not break the table', () => {
    assert.is(formatTable(['A', 'B'], [['one\n two', 'x']]), 'A        B\none two  x\n')
  })

  it('without rows only the head is there', () => {
    assert.is(formatTable(['A', 'B'], []), 'A  B\n')
  })

  it('painting does not move the columns and knows its place', () => {
    const text = formatTable(['A', 'B'], [['x', 'y']], (cell, { row, column }) => `<${row}${column}:${cell}>`)
    assert.is(text, '<head0:A>  <head1:B>\n<00:x>  <01:y>\n')
    assert.is(
      formatTable(['LONG', 'B'], [['x', 'y']], (cell) => `*${cell}*`),
      '*LONG*  *B*\n*x*     *y*\n',
    )
  })

  it('indent leaves empty lines empty', () => {
    assert.is(indent('a\n\nb\n', 2), '  a\n\n  b\n')
  })
})
