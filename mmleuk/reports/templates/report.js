'use strict';

// ---- Sorting --------------------------------------------------------------
// A cell is compared by its data-value, as a number where all are numbers,
// else by its text.

const collator = new Intl.Collator('en', {numeric: true});

function sortKey(row, column) {
  const cell = row.cells[column];
  return cell.dataset.value ?? cell.textContent.trim();
}

function sortTable(table, header) {
  const column = header.cellIndex;
  const ascending = header.getAttribute('aria-sort') !== 'ascending';
  for (const other of table.tHead.rows[0].cells) {
    if (other.hasAttribute('aria-sort')) other.setAttribute('aria-sort', 'none');
  }
  header.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => [sortKey(row, column), row]);
  const numeric = keyed.every(([key]) => key !== '' && Number.isFinite(Number(key)));
  const sign = ascending ? 1 : -1;
  keyed.sort(([a], [b]) => sign * (numeric ? a - b : collator.compare(a, b)));
  body.append(...keyed.map(([, row]) => row));
}

for (const table of document.querySelectorAll('table[data-sortable]')) {
  for (const header of table.querySelectorAll('th[aria-sort]')) {
    header.querySelector('button').addEventListener('click', () => sortTable(table, header));
  }
}

// ---- Filtering ------------------------------------------------------------

for (const form of document.querySelectorAll('form[data-filters]')) {
  const rows = [...document.getElementById(form.dataset.filters).tBodies[0].rows];
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase().replace(/\s+/g, ' ')]));
  const apply = () => {
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const type = form.elements.type?.value;
    const surprising = form.elements.surprising?.checked;
    let shown = 0;
    for (const row of rows) {
      row.hidden = Boolean(
        (type && row.dataset.type !== type) ||
        (surprising && !('surprising' in row.dataset)) ||
        !words.every((word) => texts.get(row).includes(word)),
      );
      shown += !row.hidden;
    }
    form.elements.shown.value = `${shown} of ${rows.length} shown`;
  };
  form.addEventListener('input', apply);
  form.addEventListener('submit', (event) => event.preventDefault());
  apply();
}

// ---- Viewer ---------------------------------------------------------------
// Everything that is shown is there already: pictures are copied from the
// page, words come from the block of JSON, and go in as text, never as markup.

const viewer = document.getElementById('viewer');

function element(name, text, className) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
}

function tableOf(head, rows) {
  const table = element('table');
  const headRow = table.createTHead().insertRow();
  for (const text of head) {
    const cell = element('th', text);
    cell.scope = 'col';
    headRow.append(cell);
  }
  const body = table.createTBody();
  for (const {texts, odd} of rows) {
    const row = body.insertRow();
    if (odd) row.className = 'odd';
    texts.forEach((text, column) => {
      const cell = element(column ? 'td' : 'th', text);
      if (!column) cell.scope = 'row';
      row.append(cell);
    });
  }
  return table;
}

function startViewer() {
  const data = JSON.parse(document.getElementById('data').textContent);
  const {calibrated} = data;
  const title = viewer.querySelector('#viewer-title');
  const sub = viewer.querySelector('.viewer-sub');
  const place = viewer.querySelector('.viewer-place');
  const picture = viewer.querySelector('.viewer-picture');
  const panel = viewer.querySelector('.viewer-panel');
  let items = [];
  let position = 0;

  const fieldButton = (index) => document.querySelector(`.thumb[data-field="${index}"]`);

  function frameOf(button, chosen) {
    const frame = element('div', undefined, 'viewer-frame');
    const image = button.querySelector('img').cloneNode();
    image.alt = button.dataset.title;
    const boxes = button.querySelector('svg.boxes').cloneNode(true);
    if (chosen !== undefined) {
      for (const box of boxes.querySelectorAll('.box')) {
        box.classList.add(box.dataset.number === String(chosen) ? 'chosen' : 'others');
      }
    }
    frame.append(image, boxes);
    return frame;
  }

  function showField(button) {
    title.textContent = button.dataset.title;
    sub.textContent = button.dataset.file;
    picture.replaceChildren(frameOf(button));
    const list = element('ul');
    for (const box of button.querySelectorAll('.box')) {
      const entry = element('li');
      const label = box.querySelector('text').textContent;
      const cell = data.cells[box.dataset.number];
      if (cell) {
        const open = element('button', `${label}, ${cell.confidence}`, 'plain');
        open.type = 'button';
        open.addEventListener('click', () => showCell(Number(box.dataset.number)));
        entry.append(open);
      } else {
        entry.textContent = label;
      }
      list.append(entry);
    }
    panel.replaceChildren(element('h3', list.childElementCount ? 'Cells' : 'No cell was found'), list);
  }

  function showCell(number) {
    const cell = data.cells[number];
    title.textContent = `${cell.type}, ${cell.confidence}`;
    sub.textContent = `field ${cell.field}, cell ${cell.place}`;
    const parts = [];
    const card = document.querySelector(`.card .opens[data-number="${number}"] .crop img`);
    const field = fieldButton(cell.index);
    if (card) {
      const crop = element('div', undefined, 'viewer-crop');
      const image = card.cloneNode();
      image.alt = `${cell.type}, cell ${cell.place}`;
      crop.append(image, card.nextElementSibling.cloneNode(true));
      parts.push(crop);
    }
    if (field) parts.push(frameOf(field, number));
    if (!parts.length) parts.push(element('p', 'No picture of this field is in the page.'));
    picture.replaceChildren(...parts);
    panel.replaceChildren(...wordsOf(cell));
    if (field) {
      const open = element('button', `All of field ${cell.field}`, 'plain');
      open.type = 'button';
      open.addEventListener('click', () => showField(field));
      panel.append(open);
    }
  }

  function wordsOf(cell) {
    const parts = cell.rivals.map((text) => element('p', `or ${text}`, 'rival'));
    parts.push(...cell.surprises.map((text) => element('p', text, 'surprise')));
    if (!cell.attributes.length) {
      parts.push(element('p', 'The model names no attributes.'));
      return parts;
    }
    const lines = cell.attributes.map(([, , , index]) => (index === null ? null : data.evidence[index]));
    parts.push(tableOf(
      ['Attribute', 'Value', calibrated ? 'Confidence' : 'Uncalibrated'],
      cell.attributes.map(([title, value, sure], row) => ({
        texts: [title, value, sure],
        odd: lines[row]?.[5],
      })),
    ));
    if (!lines.some(Boolean)) {
      parts.push(element('p', 'What speaks for or against the type is not known: there is no profile of the training data for it.', 'hint'));
      return parts;
    }
    parts.push(element('h3', `For and against ${cell.type}`));
    const rows = [];
    cell.attributes.forEach(([title, value], row) => {
      if (!lines[row]) return;
      const [direction, ratio, ofType, ofOthers, , odd] = lines[row];
      const speaks = direction === 'neutral' ? 'neither way' : `${direction}: ${ratio}`;
      rows.push({texts: [`${title}: ${value}`, speaks, ofType, ofOthers], odd});
    });
    parts.push(tableOf(['Attribute', 'Speaks', 'Of this type', 'Of others'], rows));
    const most = Math.max(...lines.filter(Boolean).map((line) => line[4]));
    parts.push(element(
      'p',
      `Shares of training cells that have the value; ${most.toLocaleString('en')} are of this type. One attribute at a time: the ratios must not be multiplied.`,
      'hint',
    ));
    return parts;
  }

  function show(index) {
    position = (index + items.length) % items.length;
    const item = items[position];
    place.textContent = `${position + 1} of ${items.length}`;
    if (item.dataset.opens === 'field') showField(item);
    else showCell(Number(item.dataset.number));
    panel.scrollTop = 0;
  }

  document.addEventListener('click', (event) => {
    const opener = event.target.closest('.opens');
    if (!opener) return;
    items = [...document.querySelectorAll(`.opens[data-group="${opener.dataset.group}"]`)]
      .filter((item) => item.getClientRects().length);
    show(items.indexOf(opener));
    viewer.showModal();
  });
  for (const button of viewer.querySelectorAll('[data-step]')) {
    button.addEventListener('click', () => show(position + Number(button.dataset.step)));
  }
  viewer.querySelector('[data-close]').addEventListener('click', () => viewer.close());
  viewer.addEventListener('click', (event) => {
    if (event.target === viewer) viewer.close();
  });
  viewer.addEventListener('keydown', (event) => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!step) return;
    event.preventDefault();
    show(position + step);
  });
  // Where one stopped looking is where one goes on.
  viewer.addEventListener('close', () => items[position]?.focus());
}

if (viewer) startViewer();

// Notes that are folded on screen are part of the print.
addEventListener('beforeprint', () => {
  for (const details of document.querySelectorAll('details')) details.open = true;
});
