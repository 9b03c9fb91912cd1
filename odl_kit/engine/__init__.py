"""A torch net and an UpdatePlan become a Program, a list of ops that trains in one arena, with the same bits in NumPy and in C.

program (compile, Program) calls the passes in turn: forward (layers become ops), autodiff (the backward graph), schedule (prune, reorder,
in place), pack (lifetimes, one arena). graph holds their records: Tensor, Op, Graph.
execute runs a Program in NumPy, op by op as kernels and gradients say, with math32 (exp, log); emit_c writes it as C.
blob (bytes and back), verify (what a Program must keep), layout (w and the state), report (bytes by purpose), workspace (scratch)."""
