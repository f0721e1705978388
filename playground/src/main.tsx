import "./style/page.css";
import "./style/chat.css";
import "./style/runs.css";
import { createRoot } from "react-dom/client";
import { App } from "./app/App";
import { loadSettings } from "./app/settings";

const root = document.getElementById("root");
if (root) createRoot(root).render(<App settings={loadSettings()} />);
