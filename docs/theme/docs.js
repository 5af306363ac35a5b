// The search of the documentation: all words of what is typed must be in a section; headings count for more than text.
const up = document.body.dataset.up;
const field = document.getElementById('search');
const found = document.getElementById('found');
const RESULTS_MAX = 20;
let sections;

// Small screens begin with the text.
const contents = document.querySelector('nav details');
if (contents && matchMedia('(max-width: 800px)').matches) contents.open = false;

async function load() {
  if (!sections) {
    const answer = await fetch(`${up}search.json`);
    if (!answer.ok) throw new Error(`the search could not be loaded: ${answer.status}`);
    sections = (await answer.json()).map((it) => ({ ...it, inHeading: it.heading.toLowerCase(), inText: it.text.toLowerCase() }));
  }
  return sections;
}

function score(section, words) {
  let sum = 0;
  for (const word of words) {
    const inHeading = section.inHeading.includes(word);
    if (!inHeading && !section.inText.includes(word)) return 0;
    sum += (inHeading ? 10 : 1) + (section.inHeading === word ? 20 : 0);
  }
  return section.page.startsWith('notes/') ? sum / 4 : sum;
}

function excerpt(section, word) {
  const at = Math.max(0, section.inText.indexOf(word) - 60);
  return `${at > 0 ? '…' : ''}${section.text.slice(at, at + 160).replace(/\s+/g, ' ')}…`;
}

function line(section, words) {
  const link = document.createElement('a');
  link.href = `${up}${section.page}#${section.id}`;
  const title = document.createElement('b');
  title.textContent = section.heading === section.title ? section.title : `${section.title}: ${section.heading}`;
  const text = document.createElement('small');
  text.textContent = excerpt(section, words[0]);
  link.append(title, text);
  return link;
}

async function search() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  found.hidden = words.length === 0;
  if (words.length === 0) return;
  const note = (text) => {
    const it = document.createElement('p');
    it.textContent = text;
    found.replaceChildren(it);
  };
  try {
    const scored = (await load()).map((it) => [score(it, words), it]).filter(([it]) => it > 0);
    scored.sort((a, b) => b[0] - a[0]);
    if (scored.length === 0) note('Nothing has all of these words.');
    else found.replaceChildren(...scored.slice(0, RESULTS_MAX).map(([, it]) => line(it, words)));
  } catch (error) {
    note(String(error.message ?? error));
  }
}

field.addEventListener('input', search);
document.addEventListener('keydown', (event) => {
  const typing = event.target instanceof HTMLInputElement;
  if (event.key === '/' && !typing) {
    event.preventDefault();
    field.focus();
  } else if (event.key === 'Escape') {
    found.hidden = true;
  } else if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && !found.hidden) {
    const links = [...found.querySelectorAll('a')];
    const at = links.indexOf(document.activeElement);
    const next = event.key === 'ArrowDown' ? at + 1 : at - 1;
    event.preventDefault();
    if (next < 0) field.focus();
    else links[Math.min(next, links.length - 1)]?.focus();
  }
});
document.addEventListener('click', (event) => {
  if (!found.contains(event.target) && event.target !== field) found.hidden = true;
});
