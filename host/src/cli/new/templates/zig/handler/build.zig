const std = @import("std");

pub fn build(b: *std.Build) void {
    const wasm = b.resolveTargetQuery(.{ .cpu_arch = .wasm32, .os_tag = .freestanding });
    const handler = b.addExecutable(.{
        .name = "{{name}}",
        .root_module = module(b, wasm, .small),
    });
    handler.entry = .disabled;
    handler.root_module.export_symbol_names = &.{"handle"};
    handler.stack_size = 64 * 1024; // Zig's own is 16 MiB
    b.installArtifact(handler);

    const tests = b.addTest(.{ .root_module = module(b, b.graph.host, .debug) });
    const run_tests = b.addRunArtifact(tests);
    b.step("test", "Run the tests on this machine").dependOn(&run_tests.step);
}

fn module(b: *std.Build, target: std.Build.ResolvedTarget, optimize: std.builtin.Optimize) *std.Build.Module {
    const options: std.Build.Module.CreateOptions = .{
        .target = target,
        .optimize = optimize,
        .strip = optimize == .small,
    };
    const root = b.createModule(options);
    root.root_source_file = b.path("src/main.zig");
    const sdk = b.createModule(options);
    sdk.root_source_file = b.path("sdk/portcell.zig");
    root.addImport("portcell", sdk);
    return root;
}
