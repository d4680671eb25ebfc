// What `import ... from "portcell"` finds.
export * from "./assembly/index";
