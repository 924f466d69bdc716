"use strict";

const byId = (id) => document.getElementById(id);
const form = byId("form"), picture = byId("picture"), question = byId("question"), reply = byId("reply");
const strength = byId("strength"), ask = byId("ask");

let chosen = null; // a File, the number of an example, or nothing yet
let last = 0; // number of the last request: replies to earlier ones are not shown

function tell(line) {
  const paragraph = document.createElement("p");
  paragraph.className = "problem";
  paragraph.textContent = line;
  reply.replaceChildren(paragraph);
  strength.hidden = true;
}

function show(address) {
  picture.src = address;
  picture.hidden = !address;
  byId("invitation").hidden = Boolean(address);
}

/** Posts the chosen picture; calls `use` with the response unless there is a later request, or it is a problem. */
async function post(path, use) {
  const number = ++last;
  const isFile = chosen instanceof File;
  const query = new URLSearchParams({ question: question.value });
  if (isFile) query.set("name", chosen.name);
  else query.set("example", chosen);
  ask.disabled = true;
  try {
    const response = await fetch(`${path}?${query}`, { method: "POST", body: isFile ? chosen : null });
    const content = await response.blob();
    if (number !== last) return;
    if (response.headers.get("X-Problem")) tell(await content.text());
    else if (!response.ok) tell(`The server answered: ${response.status} ${response.statusText}`);
    else await use(content);
  } catch (error) {
    if (number === last) tell("The server does not answer. Is it still running, and is the picture still there?");
  } finally {
    if (number === last) ask.disabled = false;
  }
}

async function askNow() {
  if (chosen === null) return tell("Choose a picture first.");
  if (!question.value.trim()) return tell("Type a question first.");
  await post("ask", async (content) => {
    reply.innerHTML = await content.text(); // the server has escaped every text in it
    strength.hidden = false;
    const { top } = reply.getBoundingClientRect();
    if (top < 0 || top > innerHeight / 2) reply.scrollIntoView();
  });
}

async function choose(file) {
  chosen = file;
  mark(null);
  show("");
  reply.replaceChildren();
  strength.hidden = true;
  await post("preview", (content) => show(URL.createObjectURL(content)));
  question.focus();
}

function mark(example) {
  for (const button of document.querySelectorAll("[data-example]")) {
    button.setAttribute("aria-pressed", String(button === example));
  }
}

for (const button of document.querySelectorAll("[data-example]")) {
  button.addEventListener("click", () => {
    chosen = button.dataset.example;
    question.value = button.dataset.question;
    mark(button);
    show(button.querySelector("img").src);
    askNow();
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  askNow();
});

byId("file").addEventListener("change", (event) => {
  if (event.target.files.length) choose(event.target.files[0]);
  event.target.value = ""; // so that the same file can be chosen again
});

byId("drop").addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") byId("file").click();
});

document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length) choose(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) {
    event.preventDefault();
    choose(event.clipboardData.files[0]);
  }
});

strength.querySelector("input").addEventListener("input", (event) => {
  document.documentElement.style.setProperty("--strength", event.target.value / 100);
});
