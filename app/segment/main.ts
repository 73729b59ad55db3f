import "./segment.css";
import { startShell } from "../shared/shell.ts";

startShell("segment");
