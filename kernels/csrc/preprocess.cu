// The fused preprocessor on CUDA: the machine under edgetl_preprocess_block.h, and the C ABI of edgetl_preprocess.h.
#include <cuda_runtime.h>

#include "edgetl_preprocess_block.h"

namespace edgetl::preprocess {
// Not a namespace without a name: nvcc would put a number that follows from the folder into the kernels' names, and
// two hosts would compile two cubins.
namespace [[gnu::visibility("hidden")]] on_cuda {

struct CudaBlock {
  __device__ int thread() const { return static_cast<int>(threadIdx.x); }
  __device__ int tile_column() const { return static_cast<int>(blockIdx.x); }
  __device__ int tile_row() const { return static_cast<int>(blockIdx.y); }
  __device__ void sync() { __syncthreads(); }
};

template <class Frame, int kBase>
__global__ void __launch_bounds__(kThreads, 2)
preprocess(const edgetl_preprocess_args args, const Plan plan) {
  __shared__ Shared shared;
  CudaBlock block;
  run_block<Frame, kBase>(args, plan, block, shared);
}

struct CudaLaunch {
  edgetl_preprocess_args args;
  Plan plan;
  cudaStream_t stream;

  template <class Frame, int kBase>
  edgetl_status run() {
    const dim3 grid(static_cast<unsigned>(ceil_div(args.input_width, kTileWidth)),
                    static_cast<unsigned>(ceil_div(args.input_height, kTileHeight)));
    void *parameters[] = {&args, &plan};
    const void *const kernel = reinterpret_cast<const void *>(&preprocess<Frame, kBase>);
    // Its own result, not cudaGetLastError: that would blame this launch for an earlier one.
    const cudaError_t error = cudaLaunchKernel(kernel, grid, dim3(kThreads), parameters, 0, stream);
    return error == cudaSuccess ? EDGETL_OK : EDGETL_LAUNCH_FAILED;
  }
};

}  // namespace on_cuda
}  // namespace edgetl::preprocess

extern "C" edgetl_status edgetl_preprocess_launch(const edgetl_preprocess_args *args, void *stream) {
  edgetl::preprocess::Plan plan{};
  const edgetl_status status = edgetl::preprocess::make_plan(args, plan);
  if (status != EDGETL_OK) return status;
  return edgetl::preprocess::choose(
      *args, plan, edgetl::preprocess::on_cuda::CudaLaunch{*args, plan, static_cast<cudaStream_t>(stream)});
}
