// The fused classification head on CUDA: the machine under edgetl_head_block.h, and the C ABI of edgetl_head.h.
#include <cuda_runtime.h>

#include "edgetl_head_block.h"

namespace edgetl::head {
// Not a namespace without a name: nvcc would put a number that follows from the folder into the kernels' names, and
// two hosts would compile two cubins.
namespace [[gnu::visibility("hidden")]] on_cuda {

struct CudaBlock {
  __device__ int thread() const { return static_cast<int>(threadIdx.x); }
  __device__ int slice() const { return static_cast<int>(blockIdx.x); }
  __device__ int tile() const { return static_cast<int>(blockIdx.y); }
  __device__ void sync() { __syncthreads(); }

  template <class Value>
  __device__ Value shuffle_xor(Value value, int apart) {
    return __shfl_xor_sync(0xffffffffU, value, apart);
  }

  __device__ void publish() { __threadfence(); }

  // Counts to `last` and starts again at zero, which the next launch needs. The second fence is for what the last
  // block then reads.
  __device__ std::uint32_t take_ticket(std::uint32_t *ticket, std::uint32_t last) {
    const std::uint32_t taken = atomicInc(ticket, last);
    __threadfence();
    return taken;
  }

  // From L2: a neighbouring value may have brought an older state of the same line into this processor's L1.
  template <class Value>
  __device__ Value fresh(const Value *from) const {
    return __ldcg(from);
  }
};

template <int kImages, class Weight>
__global__ void __launch_bounds__(kThreads, blocks_per_processor(kImages))
fused_head(const edgetl_head_args args, const Plan plan) {
  __shared__ Shared<kImages> shared;
  CudaBlock block;
  run_block<kImages, Weight>(args, plan, block, shared);
}

struct CudaLaunch {
  edgetl_head_args args;
  Plan plan;
  cudaStream_t stream;

  template <int kImages, class Weight>
  edgetl_status run() {
    const dim3 grid(static_cast<unsigned>(plan.slices), static_cast<unsigned>(plan.tiles));
    void *parameters[] = {&args, &plan};
    const void *const kernel = reinterpret_cast<const void *>(&fused_head<kImages, Weight>);
    // Its own result, not cudaGetLastError: that would blame this launch for an earlier one.
    const cudaError_t error = cudaLaunchKernel(kernel, grid, dim3(kThreads), parameters, 0, stream);
    return error == cudaSuccess ? EDGETL_OK : EDGETL_LAUNCH_FAILED;
  }
};

}  // namespace on_cuda
}  // namespace edgetl::head

extern "C" edgetl_status edgetl_head_workspace(const edgetl_head_args *args, std::uint64_t *bytes) {
  return edgetl::head::measure(args, bytes);
}

extern "C" edgetl_status edgetl_head_launch(const edgetl_head_args *args, void *stream) {
  edgetl::head::Plan plan{};
  const edgetl_status status = edgetl::head::make_plan(args, plan);
  if (status != EDGETL_OK) return status;
  return edgetl::head::choose(
      *args, plan, edgetl::head::on_cuda::CudaLaunch{*args, plan, static_cast<cudaStream_t>(stream)});
}

extern "C" const char *edgetl_status_text(edgetl_status status) { return edgetl::describe(status); }
