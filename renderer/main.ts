import { createPinia } from 'pinia';
import { createApp } from 'vue';
import App from './App.vue';
import './design/tokens.css';
import './design/base.css';
import { startStores } from './stores/start.ts';

const app = createApp(App);
app.use(createPinia());
startStores();
app.mount('#app');
