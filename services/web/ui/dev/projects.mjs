// The projects of the development backend, and what it refuses to start.

const PROJECTS = [
  { id: 1, name: 'Demo project', archived: false, snapshots: [12, 11, 9] },
  { id: 2, name: 'Momentum, large caps', archived: false, snapshots: [31] },
  { id: 3, name: 'New idea', archived: false, snapshots: [] },
  { id: 4, name: 'Pairs 2024', archived: true, snapshots: [4] },
]

const snapshot = (id) => ({
  id,
  date: `2026-03-${String(id % 28).padStart(2, '0')}`,
  usable: id !== 11,
  count: id === 11 ? null : 20 + id,
  problem: id === 11 ? 'the CSV is missing: items/11.csv' : null,
})

export function nameOf(id) {
  return PROJECTS.find((project) => project.id === id)?.name ?? null
}

export function projectsOf() {
  const projects = PROJECTS.map(({ snapshots, ...project }) => ({
    ...project,
    snapshot: snapshots.length > 0 ? snapshot(snapshots[0]) : null,
  }))
  return { projects, more: false }
}

export function snapshotsOf(id) {
  const project = PROJECTS.find((one) => one.id === id)
  return { snapshots: (project?.snapshots ?? []).map(snapshot), more: false }
}

export function refusalOf({ project_id: id = 1, decision_snapshot_id: wanted, symbols = [] }) {
  const refuse = (status, code, message, field) => ({ status, detail: { code, message, field } })
  const project = PROJECTS.find((one) => one.id === id && !one.archived)
  if (!project) return refuse(404, 'project_not_found', `there is no project ${id}`, 'project_id')
  if (wanted !== undefined && !project.snapshots.includes(wanted)) {
    const message = `project ${id} has no decision snapshot ${wanted}`
    return refuse(404, 'decision_snapshot_not_found', message, 'decision_snapshot_id')
  }
  const bad = symbols.find((symbol) => !/^[A-Z][A-Z0-9.:_]*$/.test(symbol))
  if (bad) return refuse(422, 'invalid_symbol', `${bad} is not a symbol`, 'symbols')
  return undefined
}

export function previewOf(market, { project_id: id = 1, max_symbols: most, symbols }) {
  const all = symbols ?? [...market.books.keys()]
  const planned = all.slice(0, most).map((symbol, priority) => ({ symbol, reason: 'demo', priority }))
  return {
    started: true,
    project_id: id,
    project_name: nameOf(id),
    decision_snapshot_id: snapshotsOf(id).snapshots[0]?.id ?? null,
    market_data_type: 'realtime',
    symbols: planned,
    cut: all
      .slice(planned.length)
      .map((symbol, i) => ({ symbol, reason: 'limit', priority: planned.length + i })),
    warnings: [],
    problem: null,
  }
}
