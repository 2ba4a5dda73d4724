env \
  CUDA_VISIBLE_DEVICES=0 \
  /opt/tritonserver/bin/tritonserver \
  --model-repository=/run/model_repository \
  --disable-auto-complete-config \
  --backend-config=python,shm-region-prefix-name=er_8000_0_ \
  --http-address=127.0.0.1 \
  --http-port=8000 \
  --reuse-http-port=true \
  --grpc-address=127.0.0.1 \
  --grpc-port=8100 \
  --reuse-grpc-port=true \
  --metrics-address=127.0.0.1 \
  --metrics-port=8200 \
  --allow-gpu-metrics=false \
  --exit-timeout-secs=5

env \
  CUDA_VISIBLE_DEVICES=1 \
  /opt/tritonserver/bin/tritonserver \
  --model-repository=/run/model_repository \
  --disable-auto-complete-config \
  --backend-config=python,shm-region-prefix-name=er_8001_0_ \
  --http-address=127.0.0.1 \
  --http-port=8001 \
  --reuse-http-port=true \
  --grpc-address=127.0.0.1 \
  --grpc-port=8101 \
  --reuse-grpc-port=true \
  --metrics-address=127.0.0.1 \
  --metrics-port=8201 \
  --allow-gpu-metrics=false \
  --exit-timeout-secs=5

env \
  CUDA_VISIBLE_DEVICES=2 \
  /opt/tritonserver/bin/tritonserver \
  --model-repository=/run/model_repository \
  --disable-auto-complete-config \
  --backend-config=python,shm-region-prefix-name=er_8002_0_ \
  --http-address=127.0.0.1 \
  --http-port=8002 \
  --reuse-http-port=true \
  --grpc-address=127.0.0.1 \
  --grpc-port=8102 \
  --reuse-grpc-port=true \
  --metrics-address=127.0.0.1 \
  --metrics-port=8202 \
  --allow-gpu-metrics=false \
  --exit-timeout-secs=5

env \
  CUDA_VISIBLE_DEVICES=3 \
  /opt/tritonserver/bin/tritonserver \
  --model-repository=/run/model_repository \
  --disable-auto-complete-config \
  --backend-config=python,shm-region-prefix-name=er_8003_0_ \
  --http-address=127.0.0.1 \
  --http-port=8003 \
  --reuse-http-port=true \
  --grpc-address=127.0.0.1 \
  --grpc-port=8103 \
  --reuse-grpc-port=true \
  --metrics-address=127.0.0.1 \
  --metrics-port=8203 \
  --allow-gpu-metrics=false \
  --exit-timeout-secs=5

env \
  CUDA_VISIBLE_DEVICES=4 \
  /opt/tritonserver/bin/tritonserver \
  --model-repository=/run/model_repository \
  --disable-auto-complete-config \
  --backend-config=python,shm-region-prefix-name=er_8004_0_ \
  --http-address=127.0.0.1 \
  --http-port=8004 \
  --reuse-http-port=true \
  --grpc-address=127.0.0.1 \
  --grpc-port=8104 \
  --reuse-grpc-port=true \
  --metrics-address=127.0.0.1 \
  --metrics-port=8204 \
  --allow-gpu-metrics=false \
  --exit-timeout-secs=5

env \
  CUDA_VISIBLE_DEVICES=5 \
  /opt/tritonserver/bin/tritonserver \
  --model-repository=/run/model_repository \
  --disable-auto-complete-config \
  --backend-config=python,shm-region-prefix-name=er_8005_0_ \
  --http-address=127.0.0.1 \
  --http-port=8005 \
  --reuse-http-port=true \
  --grpc-address=127.0.0.1 \
  --grpc-port=8105 \
  --reuse-grpc-port=true \
  --metrics-address=127.0.0.1 \
  --metrics-port=8205 \
  --allow-gpu-metrics=false \
  --exit-timeout-secs=5

env \
  CUDA_VISIBLE_DEVICES=6 \
  /opt/tritonserver/bin/tritonserver \
  --model-repository=/run/model_repository \
  --disable-auto-complete-config \
  --backend-config=python,shm-region-prefix-name=er_8006_0_ \
  --http-address=127.0.0.1 \
  --http-port=8006 \
  --reuse-http-port=true \
  --grpc-address=127.0.0.1 \
  --grpc-port=8106 \
  --reuse-grpc-port=true \
  --metrics-address=127.0.0.1 \
  --metrics-port=8206 \
  --allow-gpu-metrics=false \
  --exit-timeout-secs=5

env \
  CUDA_VISIBLE_DEVICES=7 \
  /opt/tritonserver/bin/tritonserver \
  --model-repository=/run/model_repository \
  --disable-auto-complete-config \
  --backend-config=python,shm-region-prefix-name=er_8007_0_ \
  --http-address=127.0.0.1 \
  --http-port=8007 \
  --reuse-http-port=true \
  --grpc-address=127.0.0.1 \
  --grpc-port=8107 \
  --reuse-grpc-port=true \
  --metrics-address=127.0.0.1 \
  --metrics-port=8207 \
  --allow-gpu-metrics=false \
  --exit-timeout-secs=5
