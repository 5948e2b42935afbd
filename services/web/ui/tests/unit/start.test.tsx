// The start form: what there is to choose from, what would come of it, and where a refusal stands.

import { ApiError } from '@ibstream/client'
import { act, render, screen, waitFor, within } from '@testing-library/react'
import userEvent from '@testing-library/user-event'
import { beforeEach, describe, expect, it } from 'vitest'
import { languages, StreamCard } from '../../src/card'
import { blamedField } from '../../src/card/startRequest'
import { FakeBackend, planOf, quoteOf, statusOf } from './backend'

const { en } = languages
const { control } = en
let backend: FakeBackend

const snapshot = (id: number, more = {}) => ({
  id,
  date: '2026-03-04',
  usable: true,
  count: 48,
  problem: null,
  ...more,
})
const projects = [
  { id: 1, name: 'Demo', archived: false, snapshot: snapshot(12) },
  { id: 2, name: 'Momentum', archived: false, snapshot: null },
  { id: 3, name: 'Old', archived: true, snapshot: snapshot(4) },
]
const planned = (count: number, more = {}) => ({
  project_id: 1,
  project_name: 'Demo',
  symbols: Array.from({ length: count }, (_, i) => ({ symbol: `S${i}`, reason: 'demo', priority: i })),
  cut: [],
  warnings: [],
  ...more,
})

beforeEach(() => {
  backend = new FakeBackend().install()
  backend.status = statusOf('stopped', [], { project_id: 1 })
  backend.plan = planOf()
  backend.answers.set('GET /projects', () => Response.json({ projects, more: false }))
  backend.answers.set('GET /projects/1/snapshots', () =>
    Response.json({ snapshots: [snapshot(12), snapshot(11, { usable: false, count: null })], more: false }),
  )
  backend.answers.set('GET /projects/2/snapshots', () => Response.json({ snapshots: [], more: false }))
  backend.answers.set('POST /plan', () => Response.json(planned(12)))
})

async function open() {
  const view = render(<StreamCard />)
  await screen.findByRole('option', { name: 'Momentum · 2 (no snapshot)' })
  return view
}

const field = (label: string) => screen.getByLabelText(label) as HTMLSelectElement
const noteOf = (label: string) => document.getElementById(field(label).getAttribute('aria-describedby') ?? '')
const preview = () => screen.findByTestId('plan-preview')

describe('what there is to choose from', () => {
  it('is a list of projects by name; an archived one cannot be chosen', async () => {
    await open()
    const options = within(field(control.project)).getAllByRole<HTMLOptionElement>('option')
    expect(options.map(({ text, disabled }) => [text, disabled])).toEqual([
      [control.projectDefault, false],
      ['Demo · 1', false],
      ['Momentum · 2 (no snapshot)', false],
      ['Old · 3 (archived)', true],
    ])
  })

  it('has the snapshots of the chosen project, with their dates and sizes', async () => {
    await open()
    await screen.findByRole('option', { name: '2026-03-04 · no. 12 · 48 symbols' })
    const unusable = screen.getByRole<HTMLOptionElement>('option', {
      name: '2026-03-04 · no. 11 · not usable',
    })
    expect(unusable.disabled).toBe(true)
    await userEvent.selectOptions(field(control.snapshot), '12')
    await userEvent.selectOptions(field(control.project), '2')
    await waitFor(() => expect(within(field(control.snapshot)).getAllByRole('option')).toHaveLength(1))
    expect(field(control.snapshot).value).toBe('')
  })

  it('replaces no field under the cursor when it comes late', async () => {
    let come: (answer: Response) => void = () => {}
    backend.answers.set('GET /projects', () => new Promise((resolve) => (come = resolve)))
    render(<StreamCard />)
    const project = await screen.findByLabelText(control.project)
    act(() => project.focus())
    await act(async () => come(Response.json({ projects, more: false })))
    await screen.findByRole('option', { name: 'Demo · 1' })
    expect(document.activeElement).toBe(project)
  })

  it('is started as chosen', async () => {
    await open()
    await userEvent.selectOptions(field(control.project), '1')
    await screen.findByRole('option', { name: /no\. 12/ })
    await userEvent.selectOptions(field(control.snapshot), '12')
    await userEvent.click(screen.getByRole('button', { name: control.start }))
    await waitFor(() =>
      expect(backend.called('POST /start').map(({ body }) => body)).toEqual([
        { project_id: 1, decision_snapshot_id: 12 },
      ]),
    )
  })

  it.each([
    [
      'cannot be had',
      () => Response.json({ detail: { code: 'planner_unreachable', message: 'no' } }, { status: 503 }),
    ],
    ['is longer than the list', () => Response.json({ projects, more: true })],
  ])('is typed as a number when the list %s', async (_, answer) => {
    backend.answers.set('GET /projects', answer)
    render(<StreamCard />)
    const project = await screen.findByRole('textbox', { name: control.project })
    await userEvent.type(project, '7')
    await userEvent.click(screen.getByRole('button', { name: control.start }))
    await waitFor(() => expect(backend.called('POST /start')[0]?.body).toEqual({ project_id: 7 }))
  })
})

describe('what would come of it', () => {
  it('is shown before it is started: how many, the first ten, and how many are left out', async () => {
    backend.answers.set('POST /plan', () =>
      Response.json(
        planned(12, { cut: [{ symbol: 'X', reason: 'limit', priority: 12 }], warnings: ['Two lines.'] }),
      ),
    )
    await open()
    const text = (await preview()).textContent
    expect(text).toContain('Would stream 12 symbols of Demo.')
    expect(text).toContain('S0S1S2S3S4S5S6S7S8S9and 2 more')
    expect(text).toContain('1 left out of streaming.')
    expect(text).toContain('Two lines.')
    expect(backend.called('POST /start')).toEqual([])
  })

  it('follows what is chosen', async () => {
    backend.answers.set('POST /plan', ({ body }) =>
      Response.json(planned((body as { max_symbols?: number }).max_symbols ?? 12)),
    )
    await open()
    await preview()
    await userEvent.type(field(control.maxSymbols), '3')
    await waitFor(() =>
      expect(screen.getByTestId('plan-preview').textContent).toContain('Would stream 3 symbols'),
    )
    expect(backend.called('POST /plan').at(-1)?.body).toEqual({ max_symbols: 3 })
  })
})

describe('a refusal', () => {
  const refuse = (code: string, name?: string) => () =>
    Response.json({ detail: { code, message: 'what the backend said', field: name } }, { status: 422 })

  it('stands at the field that caused it, before and after the button is pressed', async () => {
    backend.answers.set('POST /plan', refuse('snapshot_unreadable', 'decision_snapshot_id'))
    backend.answers.set('POST /start', refuse('project_not_found', 'project_id'))
    await open()
    await waitFor(() => expect(noteOf(control.snapshot)?.textContent).toContain('what the backend said'))
    expect(field(control.snapshot).getAttribute('aria-invalid')).toBe('true')
    await userEvent.click(screen.getByRole('button', { name: control.start }))
    await waitFor(() => expect(noteOf(control.project)?.textContent).toContain(en.error.project_not_found))
    expect(screen.getAllByRole('alert')).toHaveLength(1)
    backend.answers.set('POST /plan', () => Response.json(planned(2)))
    await userEvent.selectOptions(field(control.project), '1')
    await preview()
    expect(screen.queryByRole('alert')).toBeNull()
  })

  it('unfolds the field when it is folded away', async () => {
    backend.answers.set('POST /start', refuse('invalid_symbol', 'symbols.0'))
    await open()
    await userEvent.click(screen.getByRole('button', { name: control.start }))
    await waitFor(() => expect(noteOf(control.symbols)?.textContent).toContain(en.error.invalid_symbol))
    expect(field(control.symbols).closest('details')?.open).toBe(true)
  })

  it('is blamed on a field by its name, or by its code, or on none', () => {
    const blame = (code: string, name?: string) => blamedField(new ApiError(code, '', 422, name))
    expect(blame('invalid_request', 'max_symbols')).toBe('maxSymbols')
    expect(blame('invalid_symbol', 'symbols.3')).toBe('symbols')
    expect(blame('decision_snapshot_not_found')).toBe('snapshot')
    expect(blame('supervisor_unreachable')).toBeUndefined()
    expect(blame('invalid_request', 'constructor')).toBeUndefined()
  })
})

describe('the project’s name', () => {
  it('stays in the header from one plan to the next', async () => {
    await open()
    await waitFor(() => expect(document.querySelector('h2')?.textContent).toContain('Demo'))
    act(() => {
      backend.setStatus(statusOf('starting', ['SPY'], { project_id: 2 }))
      backend.emit('quotes', [quoteOf('SPY', 1)])
    })
    await waitFor(() => expect(document.querySelector('h2')?.textContent).toContain('Momentum'))
  })
})
