// @stoqey/ib in a process of its own: a bracket order's whole life on PORT, as one JSON line; as bracket_official.py.
// Usage: node bracket_stoqey.mjs FOLDER PORT
import { createRequire } from "node:module";
import path from "node:path";

const [folder, port] = process.argv.slice(2);
const { IBApi, EventName, SecType } = createRequire(path.resolve(folder, "x.js"))("@stoqey/ib");
const NAMES = ["entry", "profit", "loss"];
const api = new IBApi({ port: Number(port), clientId: 43 });
const seen = { charges: [], positions: [], cancelled: [], complaints: [] };
let first = 0;

const list = (name) => (seen[name] ??= []);
const named = (id) => NAMES[id - first];
api.on(EventName.nextValidId, (id) => (first = id));
api.on(EventName.orderStatus, (id, status) => {
  const life = list(`life ${named(id)}`);
  if (life.at(-1) !== status) life.push(status);
});
api.on(EventName.openOrder, (id, contract, order) =>
  list(`shape ${named(id)}`).push([contract.symbol, order.action, order.orderType, order.totalQuantity, order.parentId === first]),
);
api.on(EventName.execDetails, (id, contract, execution) =>
  list(`fills ${named(execution.orderId)}`).push([execution.side, execution.shares]),
);
api.on(EventName.commissionReport, (report) => seen.charges.push(report.commission));
api.on(EventName.position, (account, contract, held) => seen.positions.push(held));
api.on(EventName.error, (error, code, id) => {
  if (code === 202) seen.cancelled.push(named(id));
  else if (![2104, 2106, 2158].includes(code)) seen.complaints.push(`${id} ${code} ${error.message}`);
});

async function until(condition, what) {
  const end = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not ${what}: ${JSON.stringify(seen)}`);
    await new Promise((go) => setTimeout(go, 20));
  }
}

const last = (name) => list(`life ${name}`).at(-1);
const place = (number, fields) => api.placeOrder(first + number, spy, { totalQuantity: 100, tif: "DAY", ...fields });
const spy = { symbol: "SPY", secType: SecType.STK, exchange: "SMART", currency: "USD" };

api.connect();
await until(() => first > 0, "ready");
api.reqPositions();
place(0, { action: "BUY", orderType: "MKT", transmit: false });
place(1, { action: "SELL", orderType: "LMT", lmtPrice: 5000, parentId: first, transmit: false });
place(2, { action: "SELL", orderType: "STP", auxPrice: 1, parentId: first, transmit: true });
await until(() => last("entry") === "Filled" && last("profit") === "Submitted", "entered");
place(1, { action: "SELL", orderType: "LMT", lmtPrice: 2, parentId: first, transmit: true });
await until(() => last("profit") === "Filled" && last("loss") === "Cancelled", "left");
const fills = () => NAMES.flatMap((name) => list(`fills ${name}`));
await until(() => seen.cancelled.length && seen.positions.at(-1) === 0 && seen.charges.length === fills().length, "told");

const each = (pick) => Object.fromEntries(NAMES.map((name) => [name, pick(name)]));
console.log(
  JSON.stringify({
    version: api.serverVersion,
    complaints: seen.complaints,
    life: each((name) => list(`life ${name}`)),
    shape: each((name) => list(`shape ${name}`)[0]),
    sides: each((name) => [...new Set(list(`fills ${name}`).map(([side]) => side))]),
    filled: each((name) => list(`fills ${name}`).reduce((sum, [, size]) => sum + size, 0)),
    cancelled: seen.cancelled,
    charged: Math.round(seen.charges.reduce((sum, one) => sum + one, 0) * 100) / 100,
    held: seen.positions.at(-1),
  }),
);
api.disconnect();
process.exit(0);
